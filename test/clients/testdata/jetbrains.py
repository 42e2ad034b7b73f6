# What JetBrains' client does: uploads a backend by sftp, has hundreds of
# sessions on few connections, asks for a forward from a port of the server's
# choice, and pipes a program in whose output begins when its input has ended.
import hashlib, os, socket, threading
import paramiko

env = os.environ
BACKEND = os.urandom(1 << 20) * 16
MARKER = "REMOTE_EXEC_OUTPUT_MARKER_"


def connect():
    client = paramiko.SSHClient()
    client.load_host_keys(env["KNOWN_HOSTS"])
    client.connect(env["HOST"], int(env["PORT"]), env["LOGIN"], key_filename=env["KEY"], look_for_keys=False, allow_agent=False)
    return client


def run(client, command):
    _, stdout, _ = client.exec_command("/bin/bash -lc 'echo %s && %s'" % (MARKER, command))
    said = stdout.read().decode()
    assert stdout.channel.recv_exit_status() == 0, command
    marker, _, rest = said.partition("\n")
    assert marker == MARKER, said
    return rest


def upload(client):
    with client.open_sftp() as files:
        with files.open(env["FAR"], "wb") as file:
            file.set_pipelined(True)
            file.write(BACKEND)
    assert run(client, "sha256sum <" + env["FAR"]).split()[0] == hashlib.sha256(BACKEND).hexdigest()
    print("backend uploaded")


def sessions(clients):
    running = []
    for i in range(200):
        channel = clients[i % len(clients)].get_transport().open_session(timeout=60)
        channel.exec_command("/bin/bash -c 'echo %d; cat; exit %d'" % (i, i))
        assert channel.makefile().readline() == "%d\n" % i
        running.append(channel)
    for i, channel in enumerate(running):  # all of them still run
        channel.sendall(b"in")
        channel.shutdown_write()
        assert channel.makefile().read() == b"in"
        assert channel.recv_exit_status() == i
        channel.close()
    print("%d sessions on %d connections" % (len(running), len(clients)))


def forward(client):
    transport = client.get_transport()
    port = transport.request_port_forward("localhost", 0)
    assert port > 0

    def answer():
        channel = transport.accept(60)
        channel.sendall(channel.makefile().read().upper())
        channel.close()

    answering = threading.Thread(target=answer)
    answering.start()
    said = run(client, """python3 -c "
import socket
s = socket.create_connection((\\"127.0.0.1\\", %d))
s.sendall(b\\"word\\"); s.shutdown(1)
print(s.recv(9).decode())" """ % port)
    answering.join()
    assert said == "WORD\n", said
    transport.cancel_port_forward("localhost", port)
    print("port forwarded back")


def pipe(client):
    stdin, stdout, _ = client.exec_command("cat >%s.worker; sha256sum <%s.worker; sleep 0.5; echo done; exit 3" % (env["FAR"], env["FAR"]))
    stdin.write(BACKEND)
    stdin.channel.shutdown_write()
    said = stdout.read().decode()
    assert said == hashlib.sha256(BACKEND).hexdigest() + "  -\ndone\n", said
    assert stdout.channel.recv_exit_status() == 3
    print("worker written, and output after its end")


clients = [connect() for _ in range(4)]
upload(clients[0])
sessions(clients)
forward(clients[1])
pipe(clients[2])
for client in clients:
    client.close()
