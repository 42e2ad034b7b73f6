package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
)

// Marks distinguish provision's own containers from those that only have the same
// labels, which anybody can set who may run a container or build an image.
type Marks struct {
	Secret   []byte   // of the state directory
	Unmarked []string // ids of containers that are older than marks

	// UserCAs are the gateway's present and former ones. The gateway recognises hosts
	// that were created with any of them, so a new CA is no reason to recreate a
	// host.
	UserCAs []string
}

// markSize is the length of a mark, in bytes of the digest.
const markSize = 16

// marked returns the labels that a mark covers. They say to whom the container
// belongs and what it holds; none of them changes when it is renamed or recreated.
func marked() []string {
	return []string{labels.Project, labels.Service, labels.CPUs, labels.GPUMemory, labels.Pinned}
}

// Of returns the mark for a container with these labels.
func (m Marks) Of(on map[string]string) string {
	var text strings.Builder
	text.WriteString("berth.mark 1")
	for _, name := range marked() {
		text.WriteString("\n" + name + "=" + strconv.Quote(on[name]))
	}
	return m.digest(text.String(), markSize)
}

// digest returns a keyed hash of a text, in hexadecimal digits.
func (m Marks) digest(text string, size int) string {
	mac := hmac.New(sha256.New, m.Secret)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:size])
}

// vouchesFor reports whether provision created a container, as its labels say.
func (m Marks) vouchesFor(c Container) bool {
	if c.Project() == "" {
		return false
	}
	return hmac.Equal([]byte(c.Labels[labels.Mark]), []byte(m.Of(c.Labels))) || slices.Contains(m.Unmarked, c.ID)
}

// Judge returns the containers; for those that provision did not create it drops the
// claims of their labels, and keeps what the engine gives them.
func (m Marks) Judge(all []Container) []Container {
	judged := slices.Clone(all)
	for i, c := range all {
		if m.vouchesFor(c) {
			continue
		}
		judged[i].Foreign = true
		judged[i].Claim.NanoCPUs, judged[i].Claim.Pinned = 0, nil
		judged[i].Claim.Holder = judged[i].Holder()
		judged[i].Claim.GPUs = nil
		for _, uuid := range c.Sees {
			judged[i].Claim.GPUs = append(judged[i].Claim.GPUs, box.Hold{UUID: uuid})
		}
	}
	return judged
}

// Unmarked returns the ids of the containers that seem to have been created by an
// older provision, which set no marks: their labels name a project, and have numbers
// that are possible on this box. It is called once for each state directory, so that
// a container which comes later and only looks like one is not believed.
func Unmarked(all []Container, b box.Box) []string {
	var ids []string
	for _, c := range all {
		if c.Project() != "" && c.Labels[labels.Config] != "" && possible(c.Labels[labels.CPUs], b.NanoCPUs) && possible(c.Labels[labels.GPUMemory], largest(b)) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// possible reports whether a label is absent, "none", or a number that the box can
// have.
func possible(text string, most int64) bool {
	if text == "" || text == labels.NoGPU {
		return true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && n >= 0 && n <= most
}

// largest returns the memory of the box's largest device.
func largest(b box.Box) int64 {
	most := int64(0)
	for _, d := range b.Devices() {
		most = max(most, d.Memory)
	}
	return most
}
