package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// What is asked of a cluster is said to be wrong before anybody is asked.
func TestWhichClusterIsMeant(t *testing.T) {
	t.Chdir(t.TempDir())
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		http.Error(w, "not today", http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	harness.Write(t, "lab.kubeconfig", 0o600, `
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "`+server.URL+`"}}]
contexts: [{name: lab, context: {cluster: lab, namespace: of-the-context}}]
current-context: lab
`)
	harness.Write(t, "gateway.yaml", 0o600, `
docker: none
clusters:
  one: {kubeconfig: lab.kubeconfig, namespaces: [team-a]}
  two: {kubeconfig: lab.kubeconfig, namespaces: [team-a, team-b]}
  own: {kubeconfig: lab.kubeconfig}
users: {}
`)
	harness.Write(t, "compose.yaml", 0o600, "services: {a: {image: a}}\n")
	for args, want := range map[string]string{
		"ps --cluster three":                           "there is no cluster three in gateway.yaml; there are: one, two, own. Or name a kubeconfig with --kubeconfig",
		"ps --cluster two":                             "cluster two has the namespaces team-a, team-b: say which with --namespace",
		"ps --cluster one":                             "namespaces/team-a/",
		"ps --cluster one --namespace team-c":          "namespaces/team-c/",
		"ps --cluster own":                             "namespaces/of-the-context/",
		"ps --kubeconfig lab.kubeconfig":               "namespaces/of-the-context/",
		"ps --kubeconfig lab.kubeconfig --config no":   "namespaces/of-the-context/",
		"ps --kubeconfig lab.kubeconfig --cluster one": "namespaces/team-a/",
		"ps --kubeconfig no":                           "stat no: no such file or directory",
		"gpus --cluster one":                           "gpus is about a box, and --cluster names none; of a cluster there are plan, up, down, ps, logs, start, stop, restart",
		"up --cluster one --box a":                     "hosts are on a box or on a cluster: --box or --cluster",
		"up --cluster one --upgrade":                   "--upgrade is about containers of a box; leave it out",
		"ps --namespace team-a":                        "--namespace is one of a cluster: say which with --cluster",
	} {
		asked = ""
		root := command()
		root.SetArgs(append([]string{"--config", "gateway.yaml"}, strings.Fields(args)...))
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error()+" "+asked, want) {
			t.Errorf("%s: got %v of %q, want %s", args, err, asked, want)
		}
	}
}

func TestAClusterThatDoesNotAnswer(t *testing.T) {
	t.Chdir(t.TempDir())
	address := harness.FreeAddress(t)
	harness.Write(t, "kubeconfig", 0o600, `{apiVersion: v1, kind: Config, current-context: lab,
  clusters: [{name: lab, cluster: {server: "https://`+address+`"}}], contexts: [{name: lab, context: {cluster: lab}}]}`)
	root := command()
	root.SetArgs([]string{"ps", "-p", "lab", "--kubeconfig", "kubeconfig"})
	err := root.ExecuteContext(t.Context())
	if want := "the API server " + address + " does not answer: dial tcp " + address + ": connect: connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
