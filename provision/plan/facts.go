package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// facts say what a container was created from: texts by keys, most of which are
// compose's. They are stored on the container, as a JSON object in the label
// berth.config, and compared in the next run; a fact that differs recreates the
// container. So keys and values have a form of our own, which never follows the names
// or the JSON of the engine's library: facts_v1.go lists them one by one.
//
// The form has a version. Version 1 has no key for it; later ones write their number
// under "version", and must read all earlier ones: a container of an older version is
// compared by the rules of that version, and stays. Values of variables may be
// secrets, so facts contain only a digest of them. In version 1 that was a plain
// hash, from which a value can be guessed; version 2 uses the secret of the state
// directory as a key, and differs in nothing else.
type facts map[string]string

// versionKey is the key of the facts' version, from version 2 on.
const versionKey = "version"

// digestFunc returns the digest of a variable's value.
type digestFunc func(name, value string) string

// label returns facts of version 2 in the form of the label's value.
func (f facts) label() string {
	all := maps.Clone(f)
	all[versionKey] = "2"
	return inJSON(all)
}

// readFacts parses a label's value of version 1 or 2. It returns nil if it is
// neither.
func readFacts(label string) (f facts, version string) {
	if json.Unmarshal([]byte(label), &f) != nil {
		return nil, ""
	}
	version = cmp.Or(f[versionKey], "1")
	if version != "1" && version != "2" {
		return nil, ""
	}
	delete(f, versionKey)
	return f, version
}

// factsSince returns the differences between a service and the facts in a label, by
// the rules of the label's version.
func (m Marks) factsSince(label string, s compose.Service) []string {
	before, version := readFacts(label)
	digest := m.digestOf
	if version == "1" {
		digest = hashOf
	}
	now := factsOf(s, digest)
	const key = "environment." + labels.EnvUserCA
	for _, ca := range m.UserCAs {
		if _, trusts := now[key]; trusts && before[key] == digest(labels.EnvUserCA, ca) {
			now[key] = before[key]
		}
	}
	return now.changes(before)
}

// digestOf is version 2's digest of a variable's value. It includes the name, so that
// equal values of two variables have different digests.
func (m Marks) digestOf(name, value string) string {
	return m.digest("berth.config 2\n"+name+"="+value, markSize)
}

// factsOf returns the facts of a service's container. The image is not among them: it
// has a label of its own. Nor is anything that can be changed on an existing
// container, and so neither is a default for /dev/shm, which follows the memory
// limit; nor what [Container.unlike] compares.
func factsOf(s compose.Service, digest digestFunc) facts {
	f := facts{"reservations.cpus": cpusFact(s.Reserved.NanoCPUs)}
	if !s.GPUs.None() {
		f["gpus"] = gpusFact(s.GPUs.GPUAsk)
	}
	if s.GPUs.Unused {
		f["gpus"] = labels.NoGPU
	}
	f.addConfig(s.Config, digest)
	f.addHostConfig(s.HostConfig)
	if !s.OwnShm {
		delete(f, "shm_size")
	}
	for _, n := range s.Networks {
		f["networks."+n.Network] = endpointFact(n.Settings)
	}
	for _, key := range defaultKeys() {
		delete(f, key)
	}
	return f
}

// defaultKeys returns keys that some versions wrote, but that are not compared: they
// record choices of provision's own, which another version may make differently.
func defaultKeys() []string { return []string{"labels." + labels.Route, "volumes." + image.Peers} }

// unlike returns a line for each setting with a default of provision's that the files
// name and the container has differently. What the files do not name stays as the
// container was created.
func (e Container) unlike(said compose.Said) []string {
	var lines []string
	if was := cmp.Or(e.label(labels.Route), labels.RouteExec); said.Route != "" && said.Route != was {
		lines = append(lines, fmt.Sprintf("labels.%s: %s → %s", labels.Route, was, said.Route))
	}
	has := slices.ContainsFunc(e.HostConfig.Mounts, func(m mount.Mount) bool { return m.Target == image.Peers })
	if said.Peers != nil && *said.Peers != has {
		lines = append(lines, fmt.Sprintf("peers: %t → %t", has, *said.Peers))
	}
	return lines
}

func (f facts) addEnvironment(env []string, digest digestFunc) {
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		f["environment."+name] = digest(name, value)
	}
}

func (f facts) addLabels(on map[string]string) {
	for name, value := range on {
		if !strings.HasPrefix(name, "berth.reserve.") { // these follow from other facts
			f["labels."+name] = value
		}
	}
}

// hashOf is version 1's digest.
func hashOf(_, value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:12]
}

// OfAnother is the change of an object without facts, or with facts of an unknown
// version.
const OfAnother = "made by another version of provision, or by another program"

// changes returns a line for each key that differs, in the order of the keys.
func (f facts) changes(before facts) []string {
	if before == nil {
		return []string{OfAnother}
	}
	before, now := maps.Clone(before), maps.Clone(f)
	for _, key := range defaultKeys() {
		delete(before, key)
		delete(now, key)
	}
	before.sortHosts()
	now.sortHosts()
	return Changes(before, now)
}

// sortHosts orders extra_hosts by name, since some versions wrote them in any order.
func (f facts) sortHosts() {
	const key = "extra_hosts"
	var lines []string
	if json.Unmarshal([]byte(f[key]), &lines) != nil {
		return
	}
	slices.SortStableFunc(lines, func(one, two string) int {
		first, _, _ := strings.Cut(one, ":")
		second, _, _ := strings.Cut(two, ":")
		return cmp.Compare(first, second)
	})
	f.list(key, lines)
}

// Changes returns the differences between two sets of facts, texts by keys: a line
// for each key, in the order of the keys. It does not show values of variables.
func Changes(before, now map[string]string) []string {
	all := maps.Clone(before)
	maps.Copy(all, now)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, wasThere := before[key]
		is, isThere := now[key]
		switch {
		case was == is && wasThere == isThere:
		case !wasThere:
			lines = append(lines, key+" added")
		case !isThere:
			lines = append(lines, key+" gone")
		case strings.HasPrefix(key, "environment."):
			lines = append(lines, key+" changed")
		default:
			lines = append(lines, fmt.Sprintf("%s: %s → %s", key, shortened(was), shortened(is)))
		}
	}
	return lines
}

func shortened(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
