package attack

import (
	"bufio"
	_ "embed"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// crowd holds 250 connections to an address and never logs in; it prints a line
// when all have been made, and makes those again that are closed.
//
//go:embed testdata/crowd.pl
var crowd string

// The attack: another container on a host's network opens 250 connections to its
// sshd and does not log in. With sshd's own limits, that sshd answers nobody else.
// The gateway must be answered each time, and people log in.
func TestANeighboursConnectionsKeepNobodyOut(t *testing.T) {
	const asks, logins = 50, 10
	host := harness.StartContainer(t)
	host.SSHD(t) // it runs
	g := harness.StartGateway(t, host.Dir, host.Config(t))
	to := g.Target(t, "sshd", "dev+"+host.Host, host.Key)
	to.Want(t, "ssh h echo before", "before\n")

	address := host.Address(t)
	network := strings.TrimSpace(harness.Must(t, exec.Command("docker", "inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}", host.Name)))
	neighbour := harness.RunContainer(t, "--network", network, "--entrypoint", "perl", harness.BaseImage(t), "-e", crowd, address)
	harness.Eventually(t, "the neighbour's connections", func() bool {
		said, err := exec.Command("docker", "logs", neighbour).CombinedOutput()
		return err == nil && strings.Contains(string(said), "all connected")
	})

	for i := range asks {
		if err := answers(address); err != nil {
			t.Fatalf("the host's sshd, asked from the gateway's address for the %d. time: %v", i+1, err)
		}
	}
	var worst time.Duration
	for range logins {
		began := time.Now()
		to.Want(t, "ssh h echo in", "in\n")
		worst = max(worst, time.Since(began))
	}
	if running := harness.Must(t, exec.Command("docker", "inspect", "-f", "{{.State.Running}}", neighbour)); running != "true\n" {
		t.Errorf("the neighbour has ended: %s", harness.Must(t, exec.Command("docker", "logs", neighbour)))
	}
	t.Logf("%d asked and answered; of %d logins the slowest took %v", asks, logins, worst.Round(time.Millisecond))
}

// answers connects to an sshd and wants its version line.
func answers(address string) error {
	conn, err := net.Dial("tcp", net.JoinHostPort(address, "22"))
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(harness.Patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "SSH-2.0-") {
		return fmt.Errorf("it says %q, %v", line, err)
	}
	return nil
}
