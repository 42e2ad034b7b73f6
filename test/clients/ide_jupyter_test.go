package clients

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// jupyter opens a notebook server, which listens on the container's 127.0.0.1
// alone, in a browser here, and runs a cell (testdata/jupyter.js).
func (m matrix) jupyter(t *testing.T) {
	onlyWithAll(t)
	harness.Need(t, "node", "/usr/bin/chromium")
	m.Run(t, "sh", "-c", "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends jupyter-notebook >/dev/null 2>&1")
	host := strings.TrimSpace(m.Run(t, "hostname"))
	for _, to := range m.targets {
		t.Run(to.Name, func(t *testing.T) {
			proxy := harness.FreePort(t)
			server := to.Start(t, `exec ssh -D `+proxy+` h 'jupyter-notebook --no-browser --ip=127.0.0.1 2>&1'`)
			m.wantIDE(t, to, []string{"node", "testdata/jupyter.js"}, "42 "+host+"\nover a websocket\n",
				"PROXY_PORT="+proxy, "URL="+awaitURL(t, server))
		})
	}
}

// awaitURL reads what the server says until it says where it is.
func awaitURL(t *testing.T, server *harness.Client) string {
	t.Helper()
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\?token=\w+`)
	lines := bufio.NewReader(server.Stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("Jupyter did not start: %v", err)
		}
		if found := url.FindString(line); found != "" {
			go io.Copy(io.Discard, lines) // or it would stop there
			return found
		}
	}
}
