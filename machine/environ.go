package machine

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/sshconn"
)

// defaultPath is for a machine whose environment has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ is the machine's own environment, the account's variables as sshd
// sets them, and what the session asks for, where the last one counts.
func (l *Local) environ(account Account, command Command) []string {
	accounts := []string{
		"USER=" + account.Name,
		"LOGNAME=" + account.Name,
		"HOME=" + account.Home,
		"SHELL=" + account.Shell,
		"MAIL=/var/mail/" + account.Name,
	}
	file, _ := os.ReadFile("/etc/environment") // most machines have none
	own := mergeEnv([]string{"PATH=" + defaultPath}, parseEnvironment(string(file)), l.Env, accounts)
	return mergeEnv(own, knownLocales(own, command.Env, localesOf("/")))
}

// parseEnvironment reads /etc/environment as Debian's pam_env does: NAME=value,
// perhaps after export, up to a #; quotes around a value go. Other lines mean
// nothing.
func parseEnvironment(text string) (env []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, " \t\n")
		line, _, _ = strings.Cut(strings.TrimPrefix(line, "export "), "#")
		name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if !found || name == "" || !sshconn.IsWord(name, "_") || strings.ContainsRune(value, 0) {
			continue
		}
		if value = unquote(value); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// unquote takes a quote at the beginning away, and with it one at the end.
func unquote(value string) string {
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return value
	}
	value = value[1:]
	if strings.HasSuffix(value, `"`) || strings.HasSuffix(value, "'") {
		value = value[:len(value)-1]
	}
	return value
}

// knownLocales leaves out of what a session asks for the locales that the machine
// does not have: the C library takes plain C for one of those, and with it goes
// UTF-8. A LANG of the machine's own counts for more than the client's, as with
// sshd's SetEnv. Where no LANG is left, it is C.UTF-8.
func knownLocales(own, asked []string, has func(locale string) bool) (env []string) {
	isLang := func(variable string) bool { return strings.HasPrefix(variable, "LANG=") }
	hasLang, isLost := slices.ContainsFunc(own, isLang), false
	for _, variable := range asked {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == "LANG" && hasLang:
		case isLocale(name) && value != "" && !has(value):
			isLost = true
		default:
			env = append(env, variable)
		}
	}
	if isLost && !hasLang && !slices.ContainsFunc(env, isLang) && has("C.UTF-8") {
		env = append(env, "LANG=C.UTF-8")
	}
	return env
}

// isLocale reports whether a variable names a locale (locale(7)).
func isLocale(name string) bool {
	switch name {
	case "LANG", "LC_ALL", "LC_ADDRESS", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_MESSAGES",
		"LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME":
		return true
	default:
		return false
	}
}

// localesOf says which locales the machine has whose files are below root. Musl's
// C library has all, since it takes UTF-8 for each; where glibc is, too, programs
// have that.
func localesOf(root string) func(locale string) bool {
	dir := filepath.Join(root, "usr/lib/locale")
	return func(locale string) bool {
		if locale == "C" || locale == "POSIX" {
			return true
		}
		if isThere(root, "lib/ld-musl-*") && !isThere(root, "lib*/ld-linux*") {
			return true
		}
		if locale != filepath.Base(locale) || locale == ".." {
			return false
		}
		for _, name := range []string{locale, normalized(locale)} {
			if _, err := os.Stat(filepath.Join(dir, name, "LC_CTYPE")); err == nil {
				return true
			}
		}
		return isArchived(filepath.Join(dir, "locale-archive"), normalized(locale))
	}
}

func isThere(root, pattern string) bool {
	found, _ := filepath.Glob(filepath.Join(root, pattern))
	return len(found) > 0
}

// normalized is how glibc writes a locale's codeset: in small letters and digits.
func normalized(locale string) string {
	name, codeset, found := strings.Cut(locale, ".")
	if !found {
		return locale
	}
	codeset, modifier, isModified := strings.Cut(codeset, "@")
	name += "." + strings.ToLower(strings.ReplaceAll(codeset, "-", ""))
	if isModified {
		name += "@" + modifier
	}
	return name
}

// isArchived reports whether glibc's archive has a locale: its names stand in one
// table, each ended by NUL, whose place is in the archive's head.
func isArchived(path, locale string) bool {
	archive, err := os.Open(path)
	if err != nil {
		return false
	}
	defer archive.Close()
	const magic, largest = 0xde020109, 1 << 20
	var head struct{ Magic, Serial, HashAt, HashUsed, HashSize, NamesAt, NamesUsed uint32 }
	if binary.Read(archive, binary.NativeEndian, &head) != nil || head.Magic != magic || head.NamesUsed > largest {
		return false
	}
	names, err := io.ReadAll(io.NewSectionReader(archive, int64(head.NamesAt), int64(head.NamesUsed)))
	return err == nil && bytes.Contains(append([]byte{0}, names...), []byte("\x00"+locale+"\x00"))
}

// mergeEnv keeps the last value of each variable.
func mergeEnv(layers ...[]string) []string {
	var merged []string
	index := map[string]int{}
	for _, layer := range layers {
		for _, variable := range layer {
			name, _, _ := strings.Cut(variable, "=")
			if i, seen := index[name]; seen {
				merged[i] = variable
				continue
			}
			index[name] = len(merged)
			merged = append(merged, variable)
		}
	}
	return merged
}
