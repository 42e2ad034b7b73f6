package parity

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestDoors asks every door the oracle's questions, and those that only a
// client answers that sees every message.
func TestDoors(t *testing.T) {
	harness.AtEveryDoor(t,
		harness.Subject{Name: "oracle", Ask: oracle},
		harness.Subject{Name: "protocol", Ask: protocol},
		harness.Subject{Name: "traces", Ask: traces},
		harness.Subject{Name: "wrong_signature", Ask: wrongSignature},
		harness.Subject{Name: "rc", Ask: func(t *testing.T, to harness.Target) { to.Script(t, "testdata/rc.txtar") }},
	)
}

// oracle runs the scripts that hold at a bare sshd. The remote shell is bash
// or zsh.
func oracle(t *testing.T, to harness.Target) {
	to.Scripts(t, "testdata/oracle/*.txtar")
	to.Scripts(t, "testdata/large/*.txtar")
}

// TestGatewaysDoors asks for what the gateway promises and a bare sshd does not.
func TestGatewaysDoors(t *testing.T) {
	harness.AtGatewaysDoors(t, harness.Subject{Name: "known_hosts_stays_as_it_is", Ask: func(t *testing.T, to harness.Target) {
		to.Script(t, "testdata/known_hosts.txtar")
	}})
}

// TestContainersDoors asks the gateway's doors to a container.
func TestContainersDoors(t *testing.T) {
	for _, to := range harness.StartContainer(t).Targets(t)[1:] {
		t.Run(to.Name+"/gateway's_loopback_is_out_of_reach", func(t *testing.T) { isolated(t, to) })
		t.Run(to.Name+"/sessions_know_the_user", func(t *testing.T) { to.Script(t, "testdata/user.txtar") })
	}
}

// TestAShellIsChanged: who comes next has the account's new shell, also while somebody is on.
func TestAShellIsChanged(t *testing.T) {
	c := harness.StartContainer(t)
	for _, to := range c.Targets(t) {
		t.Run(to.Name, func(t *testing.T) {
			stays := to.StartCat(t)
			for _, shell := range []string{"/bin/bash", "/bin/zsh"} {
				stays.WantLine(t, "goes on")
				c.Run(t, "usermod", "--shell", shell, "developer")
				to.Want(t, `ssh h 'echo $0 $SHELL'`, filepath.Base(shell)+" "+shell+"\n")
			}
		})
	}
}

// TestAGroupIsGiven: who comes next is in the account's new group, also while somebody is
// on, who is not disturbed.
func TestAGroupIsGiven(t *testing.T) {
	c := harness.StartContainer(t)
	for _, to := range c.Targets(t) {
		t.Run(to.Name, func(t *testing.T) {
			stays := to.StartCat(t)
			for _, is := range []bool{true, false} {
				change := map[bool]string{true: "-a", false: "-d"}[is]
				stays.WantLine(t, "goes on")
				c.Run(t, "gpasswd", change, "developer", "video")
				harness.Eventually(t, "the groups after gpasswd "+change, func() bool {
					return strings.Contains(to.Run(t, "ssh h id -nG").Stdout, "video") == is
				})
			}
			stays.WantLine(t, "goes on")
		})
	}
}

// isolated wants the container's 127.0.0.1 to be its own, and the gateway's to
// be out of reach.
func isolated(t *testing.T, to harness.Target) {
	harness.Need(t, "python3")
	port := harness.StartLocalEcho(t)
	harness.WantEcho(t, "tcp", "127.0.0.1:"+port)
	got := to.Run(t, `echo hi | ssh -W 127.0.0.1:$PORT h`, "PORT="+port)
	if got.Exit != 255 || strings.Contains(got.Stdout, "HI") {
		t.Errorf("the gateway's own 127.0.0.1 is reached: exit %d, %s", got.Exit, harness.Brief(got.Stdout))
	}
}

// etcEnvironment is a file of a container's.
const etcEnvironment = `# proxies
export http_proxy=http://proxy:3128
  HF_HOME="/data/hf"#there
A='b c'
B=
D-E=x
nothing
USER=nobody
LANG=C
LC_BERTH=file`

// TestEnvironment asks what a session has that neither the client nor the image says,
// and what it does not take of the client's: the same at every door, also where sshd by
// itself would read no file and take every locale; and which terminals it knows.
func TestEnvironment(t *testing.T) {
	c := harness.StartContainer(t)
	streams := harness.StartStreams(t, c)
	for _, container := range []string{c.Name, streams.Container} {
		harness.Must(t, exec.Command("docker", "exec", container, "sh", "-c", `printf %s "$1" >/etc/environment`, "sh", etcEnvironment))
	}
	doors := c.Targets(t)
	relay := doors[1]
	for _, to := range append(doors, streams.Door) {
		t.Run(to.Name, func(t *testing.T) {
			to.Script(t, "testdata/environment.txtar")
			to.Script(t, "testdata/locale.txtar")
			to.Script(t, "testdata/terminals.txtar")
		})
	}
	c.Run(t, "usermod", "--shell", "/bin/bash", "developer")
	t.Run("relay_bash", func(t *testing.T) { relay.Script(t, "testdata/environment.txtar") })
	t.Run("local", func(t *testing.T) { harness.StartMachine(t).Local.Script(t, "testdata/locale.txtar") })
}
