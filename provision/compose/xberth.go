package compose

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
)

// Extension is the key of a compose service with our settings; docker compose ignores
// it.
const Extension = "x-berth"

// Settings is the content of x-berth of a service. Empty fields stand for the
// default.
type Settings struct {
	Host         string
	route        string // "": nobody says
	account      string
	sudo         string
	perPerson    bool     // accounts: per-person
	packages     []string // in order, without duplicates
	peers        *bool    // nil: not given
	Base         string
	dockerCLI    bool
	dockerSocket bool
	gpu          ledger.GPUAsk
	noGPU        bool // gpu: none
	pinned       bool // cpus: exclusive
	fresh        bool // keep: false
	cluster      Cluster
}

const knownSettings = "account, accounts, base, cluster, cpus, docker_cli, docker_socket, gpu, host, keep, packages, peers, route, sudo"

// packageName matches what apt-get takes, with or without a version. The text becomes
// a part of a command line of the build.
var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+~:-]+)?$`)

// hostName matches the host names that a login can contain.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// SettingsOf parses x-berth of a service. Its errors name the service and, if known,
// the file and line.
func SettingsOf(service types.ServiceConfig, src Sources) (Settings, error) {
	wrong := func(key, format string, args ...any) error {
		place := src.Where("services", service.Name, Extension, key)
		return fmt.Errorf("%s%s: %s", place, service.Name, fmt.Sprintf(format, args...))
	}
	var s Settings
	value, given := service.Extensions[Extension]
	keys, isMap := value.(map[string]any)
	if given && value != nil && !isMap {
		return s, wrong("", "%s holds keys (%s), not a single value", Extension, knownSettings)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if want := s.set(key, keys[key]); want != "" {
			return s, wrong(key, "%s.%s %s", Extension, key, want)
		}
	}
	if s.Host == "" && !hostName.MatchString(service.Name) {
		return s, wrong("", "a login cannot name this host; give it a name with %s.host", Extension)
	}
	return s, nil
}

func wrongBool(isBool bool) string {
	if isBool {
		return ""
	}
	return "is true or false"
}

// set sets one key. It returns what is wrong with the value, or "".
func (s *Settings) set(key string, value any) (wrong string) {
	text, isText := value.(string)
	on, isBool := value.(bool)
	switch key {
	case "docker_cli":
		s.dockerCLI = on
		return wrongBool(isBool)
	case "keep":
		s.fresh = !on
		return wrongBool(isBool)
	case "docker_socket":
		s.dockerSocket = on
		return wrongBool(isBool)
	case "cluster":
		return setCluster(&s.cluster, value)
	case "cpus":
		s.pinned = text == "exclusive"
		if !s.pinned {
			return "is exclusive, or left out"
		}
		return ""
	case "gpu":
		if s.noGPU = text == "none"; s.noGPU {
			return ""
		}
		return setGPU(&s.gpu, value)
	case "accounts":
		s.perPerson = text == labels.PerPerson
		if !s.perPerson {
			return "is " + labels.PerPerson + ", or left out"
		}
		return ""
	case "packages":
		return s.setPackages(value)
	case "peers":
		s.peers = &on
		return wrongBool(isBool)
	case "sudo":
		s.sudo = text
		if !slices.Contains([]string{image.SudoFree, image.SudoPassword, image.SudoNone}, text) {
			return fmt.Sprintf("is %s, %s or %s", image.SudoFree, image.SudoPassword, image.SudoNone)
		}
		return ""
	}
	return s.setText(key, text, isText)
}

// setText sets a key whose value is a text.
func (s *Settings) setText(key, text string, isText bool) (wrong string) {
	switch key {
	case "host":
		s.Host = text
	case "route":
		s.route = text
	case "account":
		s.account = text
	case "base":
		s.Base = text
	default:
		return "is not a key that provision knows; it knows " + knownSettings
	}
	switch {
	case !isText || text == "":
		return "is a text; quote it if it looks like a number"
	case key == "route" && text != labels.RouteSshd && text != labels.RouteExec:
		return fmt.Sprintf("is %s or %s, not %q", labels.RouteSshd, labels.RouteExec, text)
	case (key == "host" || key == "account") && !hostName.MatchString(text):
		return fmt.Sprintf("is letters, digits, _ . and -, and begins with a letter, digit or _; not %q", text)
	case key == "base" && strings.ContainsAny(text, " \t\n"):
		return fmt.Sprintf("is the name of an image, not %q", text)
	}
	return ""
}

func (s *Settings) setPackages(value any) (wrong string) {
	list, isList := value.([]any)
	if !isList {
		return "is a list of packages: [htop, cmake]"
	}
	for _, item := range list {
		name, isText := item.(string)
		if !isText || !packageName.MatchString(name) {
			return fmt.Sprintf("has %q, which is no name of a package", fmt.Sprint(item))
		}
		s.packages = append(s.packages, name)
	}
	slices.Sort(s.packages)
	s.packages = slices.Compact(s.packages)
	return ""
}
