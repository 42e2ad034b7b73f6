package test

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"testing"
)

// jupyter opens a notebook server, which listens on the container's 127.0.0.1
// alone, in a browser here, and runs a cell (testdata/matrix/jupyter.js).
func (m matrix) jupyter(t *testing.T) {
	onlyWithAll(t)
	need(t, "node", "/usr/bin/chromium")
	m.run(t, "sh", "-c", "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends jupyter-notebook >/dev/null 2>&1")
	host := strings.TrimSpace(m.run(t, "hostname"))
	for _, to := range m.targets {
		t.Run(to.name, func(t *testing.T) {
			proxy := freePort(t)
			server := to.start(t, `exec ssh -D `+proxy+` h 'jupyter-notebook --no-browser --ip=127.0.0.1 2>&1'`)
			m.wantIDE(t, to, []string{"node", "testdata/matrix/jupyter.js"}, "42 "+host+"\nover a websocket\n",
				"PROXY_PORT="+proxy, "URL="+awaitURL(t, server))
		})
	}
}

// awaitURL reads what the server says until it says where it is.
func awaitURL(t *testing.T, server *client) string {
	t.Helper()
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\?token=\w+`)
	lines := bufio.NewReader(server.stdout)
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
