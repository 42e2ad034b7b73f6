package test

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// forwards go in and out, by ports and by sockets.
func (to target) forwards(t *testing.T) {
	need(t, "python3", "ssh-agent", "ssh-add")
	t.Run("local_port", func(t *testing.T) {
		t.Parallel()
		address := freeAddress(t)
		to.forward(t, "-L", address+":127.0.0.1:"+to.startEcho(t, ""))
		await(t, "the forward", func() bool { return answers(address) })
		for range 5 {
			wantEcho(t, "tcp", address)
		}
	})
	t.Run("local_socket", func(t *testing.T) {
		t.Parallel()
		near, far := filepath.Join(t.TempDir(), "s"), to.farSocket(t)
		to.forward(t, "-L", near+":"+to.startEcho(t, far))
		await(t, "the forward", func() bool { return exists(near) })
		wantEcho(t, "unix", near)
	})
	t.Run("dynamic", func(t *testing.T) {
		t.Parallel()
		address := freeAddress(t)
		to.forward(t, "-D", address)
		await(t, "the forward", func() bool { return answers(address) })
		port, _ := strconv.Atoi(to.startEcho(t, ""))
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		socksConnect(t, conn, port)
		wantEchoOn(t, conn)
	})
	t.Run("fifty_downloads_at_once", func(t *testing.T) {
		t.Parallel()
		need(t, "curl")
		proxy := freePort(t)
		to.forward(t, "-D", proxy)
		to.want(t, `
			for i in $(seq 50); do curl -s --socks5-hostname 127.0.0.1:$PROXY http://127.0.0.1:$PORT/$i >page.$i & done; wait
			for i in $(seq 50); do cmp page.$i <(yes /$i | head -20000) && echo whole; done | uniq -c | xargs`,
			"50 whole\n", "PROXY="+proxy, "PORT="+to.startWeb(t))
	})
	t.Run("standard_streams", func(t *testing.T) {
		t.Parallel()
		to.want(t, `echo hi | ssh -W 127.0.0.1:$PORT h`, "HI\n", "PORT="+to.startEcho(t, ""))
	})
	t.Run("nobody_listens", func(t *testing.T) {
		t.Parallel()
		script := `ssh -o LogLevel=INFO -W 127.0.0.1:1 h </dev/null`
		if got := to.run(t, script); got.exit != 255 || !strings.Contains(got.stderr, "open failed: connect failed:") {
			t.Errorf("%s: exit %d, stderr %s", script, got.exit, brief(got.stderr))
		}
	})
	t.Run("remote_port", func(t *testing.T) {
		t.Parallel()
		port := freePort(t)
		to.forward(t, "-R", port+":127.0.0.1:"+startLocalEcho(t))
		to.shout(t, port, "fixed")
	})
	t.Run("remote_port_of_the_server's_choice", func(t *testing.T) {
		t.Parallel()
		client := to.forward(t, "-R", "0:127.0.0.1:"+startLocalEcho(t))
		to.shout(t, client.allocatedPort(t), "chosen")
	})
	t.Run("remote_port_is_free_again", func(t *testing.T) {
		t.Parallel()
		port := freePort(t)
		for range 2 {
			client := to.forward(t, "-R", port+":127.0.0.1:"+startLocalEcho(t))
			to.shout(t, port, "again")
			client.kill()
			client.wait(t)
			await(t, "the listener to go", func() bool {
				return to.run(t, `ssh h "! grep -q ':$(printf %04X $PORT) .* 0A ' /proc/net/tcp"`, "PORT="+port).exit == 0
			})
		}
	})
	t.Run("remote_port_in_use", func(t *testing.T) {
		t.Parallel()
		port := to.forward(t, "-R", "127.0.0.1:0:127.0.0.1:1").allocatedPort(t)
		script := `ssh -o ExitOnForwardFailure=yes -R 127.0.0.1:$PORT:127.0.0.1:1 h true`
		got := to.run(t, script, "PORT="+port)
		if got.exit != 255 || !strings.Contains(got.stderr, "remote port forwarding failed for listen port") {
			t.Errorf("%s: exit %d, stderr %s", script, got.exit, brief(got.stderr))
		}
	})
	t.Run("remote_socket", func(t *testing.T) {
		t.Parallel()
		near, far := filepath.Join(t.TempDir(), "s"), to.farSocket(t)
		startLocalEcho(t, near)
		to.forward(t, "-R", far+":"+near)
		to.shout(t, far, "socket")
	})
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		to.want(t, withAgent+`
			ssh-keygen -q -t ed25519 -N '' -f key && ssh-add -q key
			ssh-add -l | cmp - <(ssh -A h ssh-add -l) && echo same
			ssh -A h '[ -S "$SSH_AUTH_SOCK" ] && stat -c %a "$(dirname "$SSH_AUTH_SOCK")"'
			ssh h 'echo "[$SSH_AUTH_SOCK]"'`,
			"same\n700\n[]\n")
	})
}

// jump goes through the target to another door of the same machine.
func (to target) jump(t *testing.T, door door) {
	host, port, _ := net.SplitHostPort(door.address)
	to.want(t, `echo in | ssh -J h -p $PORT -l $LOGIN -i $KEY -o UserKnownHostsFile=$KNOWN_HOSTS -o GlobalKnownHostsFile=/dev/null \
		-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR $HOST 'cat; exit 7'; echo $?`,
		"in\n7\n", "HOST="+host, "PORT="+port, "LOGIN="+door.login, "KEY="+door.key, "KNOWN_HOSTS="+door.knownHosts)
}

// forward starts a client that does nothing but forward, and returns when the
// server has agreed.
func (to target) forward(t *testing.T, args ...string) *client {
	t.Helper()
	log := filepath.Join(t.TempDir(), "ssh.log")
	c := to.start(t, fmt.Sprintf(`exec ssh -v -E %s -o ExitOnForwardFailure=yes -N %s h`, log, strings.Join(args, " ")))
	c.log = log
	await(t, "the client to be in", func() bool {
		return strings.Contains(c.said(t), "Entering interactive session") || isClosed(c.ended)
	})
	if args[0] == "-R" {
		await(t, "the server's consent", func() bool {
			return strings.Contains(c.said(t), "forward success for") || isClosed(c.ended)
		})
	}
	if isClosed(c.ended) {
		t.Fatalf("ssh %q ended:\n%s", args, c.said(t))
	}
	return c
}

func (c *client) said(t *testing.T) string {
	t.Helper()
	if !exists(c.log) {
		return ""
	}
	return read(t, c.log)
}

func (c *client) allocatedPort(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`Allocated port (\d+) for remote forward`).FindStringSubmatch(c.said(t))
	if found == nil {
		t.Fatalf("no port was allocated:\n%s", c.said(t))
	}
	return found[1]
}

// farSocket is a path in the target where a socket can be made.
func (to target) farSocket(t *testing.T) string {
	t.Helper()
	got := to.run(t, `ssh h mktemp -u`)
	if got.exit != 0 {
		t.Fatal(got.stderr)
	}
	return strings.TrimSpace(got.stdout)
}

// socksConnect asks a SOCKS 5 server (RFC 1928) for 127.0.0.1.
func socksConnect(t *testing.T, conn net.Conn, port int) {
	t.Helper()
	conn.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(port >> 8), byte(port)})
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[3] != 0 {
		t.Fatalf("SOCKS answers %v, %v", answer, err)
	}
}
