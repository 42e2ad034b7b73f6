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

// Marks tell provision's own containers from those that only have their labels,
// which anyone who may run a container, or make an image, can write.
type Marks struct {
	Secret   []byte   // of the state directory
	Unmarked []string // ids of containers that were there before there were marks

	// UserCAs are the gateway's, now and before: the gateway tells a host that was made
	// with one of them of the others, so it need not be recreated for that.
	UserCAs []string
}

// markSize is how much of the digest a mark is, in bytes.
const markSize = 16

// marked are the labels that a mark vouches for. They say whose the container is, and
// what it holds; nothing in them changes when it is renamed or recreated.
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

// vouchesFor reports whether provision made a container, as the labels say.
func (m Marks) vouchesFor(c Container) bool {
	if c.Project() == "" {
		return false
	}
	return hmac.Equal([]byte(c.Labels[labels.Mark]), []byte(m.Of(c.Labels))) || slices.Contains(m.Unmarked, c.ID)
}

// Judge takes from the containers that provision did not make what their labels
// claim, and leaves what the engine gives them.
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

// Unmarked returns the ids of the containers that look as if an older provision made
// them, which set no marks: those whose labels name a project, and whose numbers
// are possible on this box. It is asked once for each state directory, so that
// one that comes later and looks like it is not believed.
func Unmarked(all []Container, b box.Box) []string {
	var ids []string
	for _, c := range all {
		if c.Project() != "" && c.Labels[labels.Config] != "" && possible(c.Labels[labels.CPUs], b.NanoCPUs) && possible(c.Labels[labels.GPUMemory], largest(b)) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// possible reports whether a label is no number at all, or one that the box has.
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
