package configured

import (
	"strings"
	"testing"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
)

func TestLookWithoutAnEngine(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	entries := []hosts.Entry{{Name: "box", Route: labels.RouteLocal}}
	found, err := Look(t.Context(), hosts.Settings{Docker: "unix:///nowhere", Entries: entries}, []string{"box", "lab"})
	if err != nil {
		t.Fatal(err)
	}
	if box := found.Hosts["box"]; box.Err != nil || box.Route != labels.RouteLocal {
		t.Errorf("box: %+v", box)
	}
	if lab := found.Hosts["lab"]; lab.Err == nil || !strings.Contains(lab.Err.Error(), "the engine does not answer") {
		t.Errorf("lab: %+v", lab)
	}
}
