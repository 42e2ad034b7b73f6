require 'fileutils'
require 'net/ssh'
require 'net/sftp'
require 'net/scp'

# key is what opens the target, in PEM: on OpenSSL 3 it takes no other RSA and ECDSA.
def key
  FileUtils.cp(ENV['KEY'], 'key')
  system('ssh-keygen', '-q', '-p', '-N', '', '-m', 'PEM', '-f', 'key', out: File::NULL)
  'key'
end

# login is how it logs in. The answer to whatever is asked is its password.
def login
  return { password: ENV['PASSWORD'], auth_methods: ['password'] } if ENV['PASSWORD']
  return { password: ENV['CODE'], keys: [key], auth_methods: %w[publickey keyboard-interactive] } if ENV['CODE']

  { keys: [key], auth_methods: ['publickey'] }
end

def connect(&block)
  options = {
    port: ENV['PORT'].to_i, keys: [], keys_only: true, config: false,
    user_known_hosts_file: [ENV['KNOWN_HOSTS']], global_known_hosts_file: [], verify_host_key: :always,
    use_agent: false, non_interactive: true
  }.merge(login)
  Net::SSH.start(ENV['HOST'], ENV['LOGIN'], options, &block)
end

def finish(channel)
  channel.on_data { |_, data| $stdout.write(data) }
  channel.on_extended_data { |_, _, data| $stderr.write(data) }
  channel.on_request('exit-status') { |_, data| $code = data.read_long }
end

$code = 0
case ARGV[0]
when 'version'
  puts "net-ssh #{Net::SSH::Version::STRING} on Ruby #{RUBY_VERSION}"
when 'exec'
  connect do |ssh|
    ssh.open_channel do |channel|
      channel.exec(ENV['COMMAND']) do
        finish(channel)
        channel.send_data($stdin.read)
        channel.eof!
      end
    end
    ssh.loop
  end
when 'shell'
  connect do |ssh|
    ssh.open_channel do |channel|
      channel.request_pty do
        channel.send_channel_request('shell') do
          finish(channel)
          channel.send_data(ENV['TYPED'] + "\n")
        end
      end
    end
    ssh.loop
  end
when 'sftp'
  connect { |ssh| ssh.sftp.upload!('up', ENV['FAR']); ssh.sftp.download!(ENV['FAR'], 'down') }
when 'scp'
  connect { |ssh| ssh.scp.upload!('up', ENV['FAR']); ssh.scp.download!(ENV['FAR'], 'down') }
end
exit $code
