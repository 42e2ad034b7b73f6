# Sends a word to a unix socket, or to a port of 127.0.0.1, ends its half, and
# prints the answer.
import socket, sys

where, word = sys.argv[1:]
if where.startswith("/"):
    conn = socket.socket(socket.AF_UNIX)
    conn.connect(where)
else:
    conn = socket.create_connection(("127.0.0.1", int(where)))
conn.sendall(word.encode())
conn.shutdown(socket.SHUT_WR)
got = b""
while data := conn.recv(1 << 16):
    got += data
print(got.decode())
