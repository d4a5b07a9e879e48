# How redis-rb finds its master through Sentinels; see tests/clients/test_sentinel.py.

require "redis"

sentinels = ARGV.map { |port| { host: "127.0.0.1", port: port.to_i } }
many = { url: "redis://mymaster", sentinels: sentinels, reconnect_attempts: 0, timeout: 5 }
master = Redis.new(**many, role: :master)
replica = Redis.new(**many, role: :slave)
puts "set #{master.set("redis-rb", "before")}"
puts "role #{master.call("ROLE")[0]}"
puts "wait #{master.call("WAIT", 2, 4000)}"
puts "replica's role #{replica.call("ROLE")[0]}"
puts "replica's value #{replica.get("redis-rb")}"
begin
  replica.set("redis-rb", "elsewhere")
rescue Redis::CommandError => error
  puts "refused: #{error.message}"
end
begin
  Redis.new(**many, url: "redis://nobody").ping
rescue Redis::BaseError => error
  puts "nobody's: #{error.class}"
end
one = Redis.new(host: "127.0.0.1", port: sentinels[1][:port])
puts "master #{one.sentinel("master", "mymaster").slice("name", "flags", "num-slaves", "quorum")}"
puts "peers #{one.sentinel("sentinels", "mymaster").size}"
old = one.sentinel("get-master-addr-by-name", "mymaster")
puts "READY"
$stdout.flush
$stdin.gets
loop do
  break if one.sentinel("get-master-addr-by-name", "mymaster") != old && master.set("redis-rb", "after")
  sleep 0.1
rescue Redis::BaseError
  sleep 0.1
end
puts "moved #{master.call("ROLE")[0]} #{master.get("redis-rb")}"
