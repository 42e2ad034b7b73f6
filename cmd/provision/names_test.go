package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
)

// A name is given to its service where nobody else's box has it, and else its exact name.
func TestNamesAreGivenOnEachBox(t *testing.T) {
	const mine, others = "service master of project lab", "service master of project other"
	for _, c := range []struct {
		box, host, before string
		plain, exact      string
		said              string
	}{
		{"", "master", "", mine, "", ""},
		{"", "master", others, mine, "", ""},
		{"", "master", labels.OwnerBox("a100"), labels.OwnerBox("a100"), mine, "host master is entered as master.local: its plain name is that of box a100\n"},
		{"", "gpu.1", "", mine, mine, ""},
		{"a100", "master", "", labels.OwnerBox("a100"), mine, ""},
		{"a100", "master", labels.OwnerBox("a100"), labels.OwnerBox("a100"), mine, ""},
		{"a100", "master", others, others, mine, "host master is entered as master.a100: its plain name is that of " + others + "\n"},
	} {
		st, err := state.Open(filepath.Join(t.TempDir(), "state"))
		if err != nil {
			t.Fatal(err)
		}
		if c.before != "" {
			if err := st.GiveHost(c.host, c.before); err != nil {
				t.Fatal(err)
			}
		}
		var said strings.Builder
		cmd := &cobra.Command{}
		cmd.SetOut(&said)
		j := &job{options: options{box: c.box}, state: st}
		if err := j.giveName(cmd, c.host, mine); err != nil {
			t.Fatal(err)
		}
		exact := c.host + ".local"
		if c.box != "" {
			exact = c.host + "." + c.box
		}
		plain, _ := st.Owner(c.host)
		own, _ := st.Owner(exact)
		if plain != c.plain || own != c.exact || said.String() != c.said {
			t.Errorf("%+v: plain %q, exact %q, said %q", c, plain, own, said.String())
		}
	}
}
