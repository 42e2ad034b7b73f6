package monitor

import (
	"encoding/json"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// server is a Prometheus that reads a lab, by its address.
type server string

// startPrometheus starts one with the file that docs/metrics.md shows, but for
// addresses and time.
func startPrometheus(t *testing.T, l lab) server {
	t.Helper()
	harness.Need(t, "prometheus")
	_, shown, _ := strings.Cut(harness.Read(t, "../../docs/metrics.md"), "```yaml\n# prometheus.yml\n")
	shown, _, _ = strings.Cut(shown, "```")
	alerts, err := filepath.Abs("../../configs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := "global: { scrape_interval: 1s, evaluation_interval: 1s }\n" +
		strings.NewReplacer("127.0.0.1:9222", l.gateway, "127.0.0.1:9223", l.box, "alerts.yaml", alerts).Replace(shown)
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	harness.Write(t, file, 0o600, config)
	p := server(harness.FreeAddress(t))
	command := exec.Command("prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", string(p))
	harness.StartLogged(t, command, filepath.Join(dir, "log"))
	harness.Eventually(t, "Prometheus listens", func() bool { return harness.Answers(string(p)) })
	harness.Eventually(t, "Prometheus is ready", func() bool {
		_, status := harness.Get(t, string(p), "/-/ready")
		return status == 200
	})
	return p
}

// api asks at a path, and wants the answer, whatever it says.
func (p server) api(t *testing.T, path string, data any) {
	t.Helper()
	text, _ := harness.Get(t, string(p), "/api/v1/"+path)
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v %s", path, err, text)
	}
}

// ask returns the values of a query now.
func (p server) ask(t *testing.T, query string) (values []string) {
	t.Helper()
	var found struct{ Result []struct{ Value [2]any } }
	p.api(t, "query?query="+url.QueryEscape(query), &found)
	for _, one := range found.Result {
		values = append(values, one.Value[1].(string))
	}
	return values
}

// wantHealthyRules wants that every alert was tried, and none failed.
func (p server) wantHealthyRules(t *testing.T) {
	t.Helper()
	shipped := strings.Count(harness.Read(t, "../../configs/alerts.yaml"), "- alert: ")
	harness.Eventually(t, "every alert was tried", func() bool {
		var found struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		p.api(t, "rules", &found)
		tried := 0
		for _, group := range found.Groups {
			for _, rule := range group.Rules {
				if rule.LastError != "" {
					t.Errorf("%s: %s", rule.Name, rule.LastError)
				}
				if rule.Health == "ok" {
					tried++
				}
			}
		}
		return tried == shipped
	})
}

// Prometheus' own tool reads the alerts, and raises them when it should.
func TestAlertsAreRaised(t *testing.T) {
	harness.Need(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		command := exec.Command("promtool", args...)
		command.Dir = "../../configs"
		harness.Must(t, command)
	}
}
