"use strict";
// The secret of the teacher's link is after the #, which no browser sends by itself: it becomes a cookie here.
(async () => {
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("/teacher/enter", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({token}),
  });
  if (answer.ok) location.replace("/board");
  else document.getElementById("problem").textContent = (await answer.json()).problem;
})();
