package forwards

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// forwards go in and out, by ports and by sockets.
func forwards(t *testing.T, to harness.Target) {
	harness.Need(t, "python3", "ssh-agent", "ssh-add")
	t.Run("local_port", func(t *testing.T) {
		t.Parallel()
		address := harness.FreeAddress(t)
		to.Forward(t, "-L", address+":127.0.0.1:"+to.StartEcho(t, ""))
		harness.Eventually(t, "the forward", func() bool { return harness.Answers(address) })
		for range 5 {
			harness.WantEcho(t, "tcp", address)
		}
	})
	t.Run("local_socket", func(t *testing.T) {
		t.Parallel()
		near, far := filepath.Join(t.TempDir(), "s"), to.FarSocket(t)
		to.Forward(t, "-L", near+":"+to.StartEcho(t, far))
		harness.Eventually(t, "the forward", func() bool { return harness.Exists(near) })
		harness.WantEcho(t, "unix", near)
	})
	t.Run("dynamic", func(t *testing.T) {
		t.Parallel()
		address := harness.FreeAddress(t)
		to.Forward(t, "-D", address)
		harness.Eventually(t, "the forward", func() bool { return harness.Answers(address) })
		port, _ := strconv.Atoi(to.StartEcho(t, ""))
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		harness.SocksConnect(t, conn, port)
		harness.WantEchoOn(t, conn)
	})
	t.Run("standard_streams", func(t *testing.T) {
		t.Parallel()
		to.Want(t, `echo hi | ssh -W 127.0.0.1:$PORT h`, "HI\n", "PORT="+to.StartEcho(t, ""))
	})
	t.Run("whoever_takes_it_late_gets_it_all", func(t *testing.T) {
		t.Parallel()
		to.Script(t, "testdata/late.txtar")
	})
	t.Run("nobody_listens", func(t *testing.T) {
		t.Parallel()
		script := `ssh -o LogLevel=INFO -W 127.0.0.1:1 h </dev/null`
		if got := to.Run(t, script); got.Exit != 255 || !strings.Contains(got.Stderr, "open failed: connect failed:") {
			t.Errorf("%s: exit %d, stderr %s", script, got.Exit, harness.Brief(got.Stderr))
		}
	})
	t.Run("remote_port", func(t *testing.T) {
		t.Parallel()
		port := harness.FreePort(t)
		to.Forward(t, "-R", port+":127.0.0.1:"+harness.StartLocalEcho(t))
		to.Shout(t, port, "fixed")
	})
	t.Run("remote_port_of_the_server's_choice", func(t *testing.T) {
		t.Parallel()
		client := to.Forward(t, "-R", "0:127.0.0.1:"+harness.StartLocalEcho(t))
		to.Shout(t, client.AllocatedPort(t), "chosen")
	})
	t.Run("remote_port_is_free_again", func(t *testing.T) {
		t.Parallel()
		port := harness.FreePort(t)
		for range 2 {
			client := to.Forward(t, "-R", port+":127.0.0.1:"+harness.StartLocalEcho(t))
			to.Shout(t, port, "again")
			client.Kill()
			client.Wait(t)
			harness.Eventually(t, "the listener to go", func() bool {
				return to.Run(t, `ssh h "! grep -q ':$(printf %04X $PORT) .* 0A ' /proc/net/tcp"`, "PORT="+port).Exit == 0
			})
		}
	})
	t.Run("remote_port_in_use", func(t *testing.T) {
		t.Parallel()
		port := to.Forward(t, "-R", "127.0.0.1:0:127.0.0.1:1").AllocatedPort(t)
		script := `ssh -o ExitOnForwardFailure=yes -R 127.0.0.1:$PORT:127.0.0.1:1 h true`
		for range harness.Load(1, 100) { // a session's end could overtake the refusal
			got := to.Run(t, script, "PORT="+port)
			if got.Exit != 255 || !strings.Contains(got.Stderr, "remote port forwarding failed for listen port") {
				t.Errorf("%s: exit %d, stderr %s", script, got.Exit, harness.Brief(got.Stderr))
			}
		}
	})
	t.Run("remote_socket", func(t *testing.T) {
		t.Parallel()
		near, far := filepath.Join(t.TempDir(), "s"), to.FarSocket(t)
		harness.StartLocalEcho(t, near)
		to.Forward(t, "-R", far+":"+near)
		to.Shout(t, far, "socket")
	})
	t.Run("remote_socket_that_was_left_behind", func(t *testing.T) {
		t.Parallel()
		to.Script(t, "testdata/left.txtar", "FAR="+to.FarSocket(t))
	})
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		to.Script(t, "testdata/agent.txtar")
	})
	t.Run("downloads", func(t *testing.T) {
		t.Parallel()
		harness.Need(t, "curl")
		proxy := harness.FreePort(t)
		to.Forward(t, "-D", proxy)
		to.Script(t, "testdata/downloads.txtar", "PROXY="+proxy, "WEB="+to.StartWeb(t))
	})
}

// jump goes through the target to another door of the same machine.
func jump(t *testing.T, to harness.Target) {
	if to.Oracle == (harness.Door{}) {
		t.Skip("nothing else can be reached from there")
	}
	door := to.Oracle
	host, port, _ := net.SplitHostPort(door.Address)
	to.Want(t, `echo in | ssh -J h -p $PORT -l $LOGIN -i $KEY -o UserKnownHostsFile=$KNOWN_HOSTS -o GlobalKnownHostsFile=/dev/null \
		-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR $HOST 'cat; exit 7'; echo $?`,
		"in\n7\n", "HOST="+host, "PORT="+port, "LOGIN="+door.Login, "KEY="+door.Key, "KNOWN_HOSTS="+door.KnownHosts)
}
