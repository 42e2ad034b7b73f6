package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"berth/box"
)

// facts are what a container is made of, by the names that compose has for it.
// They are written on it as a label, so that the next run can say what changed,
// from what to what. Values of variables may be secrets: of them only a hash.
type facts map[string]string

func (f facts) label() string {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // texts can be marshalled
	}
	return string(text)
}

func readFacts(label string) facts {
	var f facts
	if json.Unmarshal([]byte(label), &f) != nil {
		return nil // not provision's: then every fact is new
	}
	return f
}

// facts of a service: but for its image, which has a label of its own, and for
// what an existing container can be changed to. A default for /dev/shm follows
// the memory limit, and is no reason to make a container anew.
func (s *wantedService) facts(defaultShm bool) facts {
	config, host := s.config, s.hostConfig
	config.Env, config.Labels, config.Image = nil, nil, ""
	host.Binds, host.Mounts = nil, nil
	host.Resources = withoutUpdatable(host.Resources)
	host.RestartPolicy = container.RestartPolicy{}
	if defaultShm {
		host.ShmSize = 0
	}
	f := facts{"reservations.cpus": box.CPUs(s.reserved.NanoCPUs)}
	if !s.gpus.None() {
		f["gpus"] = s.gpus.String()
	}
	f.addFields(config)
	f.addFields(host)
	for _, entry := range s.config.Env {
		name, value, _ := strings.Cut(entry, "=")
		f["environment."+name] = hashOf(value)
	}
	for name, value := range s.config.Labels {
		if !strings.HasPrefix(name, "berth.reserve.") { // a fact already
			f["labels."+name] = value
		}
	}
	for _, bind := range s.hostConfig.Binds {
		source, rest, _ := strings.Cut(bind, ":")
		target, options, _ := strings.Cut(rest, ":")
		f["volumes."+target] = strings.TrimSuffix(source+":"+options, ":")
	}
	for _, m := range s.hostConfig.Mounts {
		f["volumes."+m.Target] = mountFact(m)
	}
	for _, n := range s.networks {
		f["networks."+n.Network] = inJSON(n.Settings)
	}
	return f
}

// addFields takes the fields of an engine's structure that say something.
func (f facts) addFields(structure any) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(inJSON(structure)), &fields); err != nil {
		panic(err) // it was made a moment ago
	}
	for name, value := range fields {
		if value = filled(value); value != nil && name != "ConsoleSize" {
			f[composeKey(name)] = strings.Trim(inJSON(value), `"`)
		}
	}
}

// filled is a JSON value without what is empty in it; nil where nothing is left.
func filled(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			if v[key] = filled(below); v[key] == nil {
				delete(v, key)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			if _, isMap := v[i].(map[string]any); isMap {
				v[i] = filled(v[i])
			}
		}
		if len(v) == 0 {
			return nil
		}
	case string, bool, float64:
		if v == "" || v == false || v == 0.0 {
			return nil
		}
	}
	return value
}

func mountFact(m mount.Mount) string {
	text := string(m.Type)
	if m.Source != "" {
		text = m.Source
	}
	if m.ReadOnly {
		text += ":ro"
	}
	if options := filledJSON(m.VolumeOptions, m.TmpfsOptions, m.BindOptions); options != "" {
		text += " " + options
	}
	return text
}

func filledJSON(values ...any) string {
	text := ""
	for _, value := range values {
		var read any
		if json.Unmarshal([]byte(inJSON(value)), &read) == nil && filled(read) != nil {
			text += inJSON(filled(read))
		}
	}
	return text
}

func inJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // the engine's types are made to be marshalled
	}
	return string(text)
}

func hashOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:12]
}

// composeKey is compose's name for a field of the engine's; for most it is the
// same in another spelling.
func composeKey(field string) string {
	switch field {
	case "Cmd":
		return "command"
	case "OpenStdin":
		return "stdin_open"
	case "ExposedPorts":
		return "expose"
	case "StopTimeout":
		return "stop_grace_period"
	case "PortBindings":
		return "ports"
	case "ReadonlyRootfs":
		return "read_only"
	case "LogConfig":
		return "logging"
	case "IpcMode", "PidMode", "UTSMode", "UsernsMode", "CgroupnsMode":
		return strings.ToLower(strings.TrimSuffix(field, "Mode"))
	}
	var key strings.Builder
	for i, r := range field {
		if r >= 'A' && r <= 'Z' {
			if i > 0 && field[i-1] >= 'a' {
				key.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		key.WriteRune(r)
	}
	return key.String()
}

// changes are what differs, key by key, in the keys' order.
func (f facts) changes(before facts) []string {
	if before == nil {
		return []string{"made by an older or another program"}
	}
	all := maps.Clone(before)
	maps.Copy(all, f)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, wasThere := before[key]
		is, isThere := f[key]
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
