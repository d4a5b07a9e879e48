# How redis-rb uses a cluster; see tests/clients/test_cluster.py.

require "redis"

client = Redis.new(cluster: ARGV.map { |port| "redis://127.0.0.1:#{port}" }, reconnect_attempts: 1, timeout: 5)
def wait_for_parent(what)
  puts what
  $stdout.flush
  $stdin.gets
end

%w[foo hello name].each { |key| puts "set #{key} #{client.set(key, "before")} #{client.get(key)}" }
begin
  client.mset("foo", 1, "hello", 2)
rescue Redis::BaseError => error
  puts "two slots: #{error.class} #{error.message}"
end
puts "one slot #{client.mset("{user:7}:name", "Ada", "{user:7}:cart", 3)}"
puts "one slot #{client.mget("{user:7}:name", "{user:7}:cart")}"
pipelined = client.pipelined do |pipeline|
  pipeline.incr("{user:7}:cart")
  pipeline.get("{user:7}:name")
end
puts "pipeline #{pipelined}"
puts "script #{client.eval("return redis.call('GET', KEYS[1])", keys: ["name"])}"
puts "size #{client.dbsize} #{client.keys.sort}"
puts "slots #{client.cluster("slots").map { |slots| slots["start_slot"] }.sort}"
puts "nodes #{client.cluster("nodes").size} #{client.cluster("info")["cluster_state"]}"
wait_for_parent("MOVE")
puts "moved #{client.get("hello")} #{client.set("hello", "elsewhere")} #{client.get("hello")}"
wait_for_parent("KILL")
begin
  client.set("name", "after")
rescue Redis::BaseError
  sleep 0.1
  client = Redis.new(cluster: ARGV.map { |port| "redis://127.0.0.1:#{port}" }, timeout: 5) rescue nil
  retry
end
puts "replaced #{client.get("name")} #{client.get("foo")}"
