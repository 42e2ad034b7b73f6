package plan

import (
	"fmt"
	"time"

	"github.com/berth-ssh/berth/box"
)

// KeptImage is an image of what was written in a host's container, from which no container
// is made any more: somebody removed that with other means than provision's.
type KeptImage struct {
	Ref   string
	Host  string // "": an older version has made it, which did not say
	Until time.Time
	Size  int64 // bytes that go with it
}

// String returns what it has, from when, and how much.
func (k KeptImage) String() string {
	whose := "a host"
	if k.Host != "" {
		whose = "host " + k.Host
	}
	return fmt.Sprintf("image %s has what was written in %s until %s (%s), and no container has it any more",
		k.Ref, whose, k.Until.Local().Format("2006-01-02 15:04"), box.Bytes(k.Size))
}

// GetBack returns how a person gets the files.
func (k KeptImage) GetBack() string {
	return fmt.Sprintf("docker create --name kept %s, docker cp kept:/root . and docker rm kept bring files back", k.Ref)
}

// Remove returns how a person removes it.
func (k KeptImage) Remove() string { return "docker image rm " + k.Ref }

// withoutKept returns a warning for each host that begins anew while an image has what was
// written in it before.
func withoutKept(fates []*fate, have Observed) []string {
	var lines []string
	for _, f := range fates {
		for _, k := range have.Kept {
			if f.isNew() && k.Host == f.service.Host {
				lines = append(lines, fmt.Sprintf("%s; the new one begins without: %s", k, k.GetBack()))
			}
		}
	}
	return lines
}
