package monitor

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// lab is a gateway and a box of two GPUs, of which one is held, with their metrics.
type lab struct {
	machine      harness.Machine
	gateway, box string // addresses of their metrics
}

func startLab(t *testing.T) lab {
	t.Helper()
	b := engine.NewGPUBox(t, 2)
	b.DriverOf("../../box/testdata/nvidia-smi/535_two_minor_numbers_swapped.txtar")
	pair := b.Compose("pair", "master: , gpus: [{count: 1}]", "worker: ")
	harness.Must(t, b.Provision("up", "-f", pair, "-p", "pair"))
	l := lab{gateway: harness.FreeAddress(t), box: harness.FreeAddress(t)}
	l.machine = harness.StartMachine(t, "metrics: "+l.gateway, "docker: "+b.Address)
	metrics := b.Provision("metrics", "--listen", l.box, "--every", "1s")
	harness.StartLogged(t, metrics, filepath.Join(b.Dir, "metrics.log"))
	harness.Eventually(t, "the box answers", func() bool { return harness.Answers(l.box) })
	return l
}

// Prometheus finds nothing to improve in the numbers, and the page has each of them.
func TestTheNumbersAreThoseOfThePage(t *testing.T) {
	harness.Need(t, "promtool")
	l := startLab(t)
	enter(t, l.machine)
	page := map[string]bool{}
	for _, name := range regexp.MustCompile("`(berth_[a-z_]+)`").FindAllStringSubmatch(harness.Read(t, "../../docs/metrics.md"), -1) {
		page[name[1]] = true
	}
	for _, address := range []string{l.gateway, l.box} {
		text, _ := harness.Get(t, address, "/metrics")
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
		for _, name := range regexp.MustCompile(`(?m)^# TYPE (berth_\S+) `).FindAllStringSubmatch(text, -1) {
			if !page[name[1]] {
				t.Errorf("docs/metrics.md does not tell of %s", name[1])
			}
			delete(page, name[1])
		}
		if found := regexp.MustCompile(`="(dev|relay|box|master|worker|pair|127\..*)"`).FindString(text); found != "" {
			t.Errorf("a label is a person, a host or an address: %s", found)
		}
		if text, status := harness.Get(t, address, "/readyz"); status != 200 {
			t.Errorf("/readyz: %d %s", status, text)
		}
	}
	for name := range page {
		t.Errorf("docs/metrics.md tells of %s, which is not there", name)
	}
}

// enter does one of each: sessions by every route, a wrong key, and a forward.
func enter(t *testing.T, m harness.Machine) {
	t.Helper()
	for _, to := range m.Doors() {
		to.Want(t, "ssh h echo in", "in\n")
	}
	m.Local.Want(t, "ssh -W 127.0.0.1:"+harness.StartLocalEcho(t)+" h </dev/null", "")
	bad := m.Local
	bad.Key = harness.MakeKey(t, t.TempDir(), "stranger")
	if conn, err := net.Dial("tcp", bad.Address); err == nil {
		defer conn.Close()
		if _, err := bad.LogIn(t, conn); err == nil {
			t.Fatal("a stranger is in")
		}
	}
}

// Every query of the dashboard shows something, every alert is understood, and what the
// page says of prometheus.yml is what Prometheus takes.
func TestPrometheusReadsAGatewayAndItsBox(t *testing.T) {
	l := startLab(t)
	p := startPrometheus(t, l)
	harness.Eventually(t, "both are read", func() bool { return len(p.ask(t, `up == 1`)) == 2 })
	open := queries(t)
	defer func() {
		for title, query := range open {
			t.Logf("%s shows nothing: %s", title, query)
		}
	}()
	harness.Eventually(t, "every query shows something", func() bool {
		enter(t, l.machine) // rates want something that goes on
		for title, query := range open {
			if len(p.ask(t, query)) > 0 {
				delete(open, title)
			}
		}
		return len(open) == 0
	})
	for query, want := range map[string]string{
		`sum(berth_gpu_holders)`: "1", `count(berth_gpu_info)`: "2", `berth_box_hosts{state="running"}`: "2",
		`max(berth_gpu_utilisation_ratio{instance="gpu-box"})`: "0.98", `berth_engine_up`: "1",
	} {
		if got := p.ask(t, query); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, want %s", query, got, want)
		}
	}
	p.wantHealthyRules(t)
	l.machine.Gateway.Signal(syscall.SIGTERM)
	harness.Eventually(t, "Prometheus notices that the gateway is gone", func() bool {
		return len(p.ask(t, `ALERTS{alertname="BerthGatewayDown",alertstate="pending"}`)) == 1
	})
}
