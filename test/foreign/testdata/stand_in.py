# Stands in for sshd where a suite of tests starts one, and leads to a gateway:
#
#     stand_in.py ADDRESS -i ...         joins its standard streams to the gateway
#     stand_in.py ADDRESS -f CONFIG ...  listens as the file and -o say, as a daemon
#     stand_in.py ADDRESS -t ...         is sshd itself, and so is -T and -V
import os, signal, socket, sys, threading

host, _, port = sys.argv[1].rpartition(":")
gateway, args = (host, int(port)), sys.argv[2:]


def pump(read, write, end):
    try:
        while data := read():
            write(data)
    except OSError:
        pass
    end()


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


def serve_streams():
    there = socket.create_connection(gateway)
    there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    up = (lambda: os.read(0, 1 << 16), there.sendall, lambda: there.shutdown(socket.SHUT_WR))
    threading.Thread(target=pump, args=up, daemon=True).start()
    said = bytearray()  # the first of what the gateway says

    def down():
        data = there.recv(1 << 16)
        if len(said) < 1000:
            said.extend(data)
        return data

    # Who is refused before the key exchange, in words, gets sshd's status for it.
    pump(down, lambda data: write_all(1, data), lambda: os._exit(255 if len(said) < 1000 and said.endswith(b".\r\n") else 0))


def settings():
    found = {}
    lines = [args[i + 1].replace("=", " ", 1) for i, arg in enumerate(args) if arg == "-o"]
    with open(args[args.index("-f") + 1]) as file:
        lines += file.readlines()
    for line in lines:
        key, _, value = line.strip().partition("\t" if "\t" in line.strip() else " ")
        found.setdefault(key.lower(), value.strip())
    return found


def serve_port():
    config = settings()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(config["port"])))
    listener.listen(128)
    if os.fork():
        os._exit(0)
    os.setsid()
    with open("/dev/null", "r+") as null:
        for fd in range(3):
            os.dup2(null.fileno(), fd)

    def stop(*_):
        os.unlink(config["pidfile"])
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with open(config["pidfile"], "w") as file:
        print(os.getpid(), file=file)
    while True:
        conn, _ = listener.accept()
        if not os.fork():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            listener.close()
            os.dup2(conn.fileno(), 0)
            os.dup2(conn.fileno(), 1)
            conn.close()
            serve_streams()
        conn.close()


signal.signal(signal.SIGINT, signal.SIG_DFL)
if {"-t", "-T", "-V"} & set(args):
    os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", *args])
elif "-i" in args:
    serve_streams()
else:
    serve_port()
