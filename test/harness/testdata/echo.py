# Listens on the unix socket that is named, or else on a port of 127.0.0.1, and
# prints where. Whoever connects gets what it sent in capitals, once it has
# ended its half. Ends with its standard input.
import socket, sys, threading

if len(sys.argv) > 1:
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen(64)
    print(sys.argv[1], flush=True)
else:
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)


def echo(conn):
    with conn:
        got = b""
        while data := conn.recv(1 << 16):
            got += data
        conn.sendall(got.upper())


def accept():
    while True:
        conn, _ = server.accept()
        threading.Thread(target=echo, args=[conn], daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
