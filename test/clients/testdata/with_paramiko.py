import os, socket, socketserver, sys, threading
import paramiko

env = os.environ


def connect():
    client = paramiko.SSHClient()
    client.load_host_keys(env["KNOWN_HOSTS"])
    client.connect(
        env["HOST"], int(env["PORT"]), env["LOGIN"],
        # A code is what it answers where the server asks for more than the key.
        password=env.get("CODE", env.get("PASSWORD")), key_filename=env.get("KEY"), look_for_keys=False, allow_agent=False,
    )
    return client


def exec():
    stdin, stdout, stderr = connect().exec_command(env["COMMAND"])
    stdin.write(sys.stdin.read())
    stdin.channel.shutdown_write()
    sys.stdout.write(stdout.read().decode())
    sys.stderr.write(stderr.read().decode())
    return stdout.channel.recv_exit_status()


def shell():
    channel = connect().invoke_shell()
    channel.sendall(env["TYPED"] + "\n")
    while data := channel.recv(1 << 16):
        sys.stdout.write(data.decode())
    return channel.recv_exit_status()


def sftp():
    with connect().open_sftp() as files:
        files.put("up", env["FAR"])
        files.get(env["FAR"], "down")


def pump(source, target):
    while data := source.recv(1 << 16):
        target.sendall(data)
    if isinstance(target, socket.socket):
        target.shutdown(socket.SHUT_WR)
    else:
        target.shutdown_write()


def forward():
    transport = connect().get_transport()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            far = ("127.0.0.1", int(env["FAR_PORT"]))
            channel = transport.open_channel("direct-tcpip", far, self.client_address)
            up = threading.Thread(target=pump, args=[self.request, channel])
            up.start()
            pump(channel, self.request)
            up.join()
            channel.close()

    socketserver.ThreadingTCPServer(("127.0.0.1", int(env["NEAR_PORT"])), Handler).serve_forever()


def version():
    print("paramiko", paramiko.__version__)


code = globals()[sys.argv[1]]()
sys.stdout.flush()
os._exit(code or 0)
