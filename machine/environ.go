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

// defaultPath is the PATH for a machine whose environment has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ returns the environment of a command. Later sources override earlier ones:
// the machine's own environment, the account's variables as in sshd, and what the
// session asks for.
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

// parseEnvironment parses /etc/environment as Debian's pam_env does: NAME=value,
// optionally after export, up to a #, with quotes around the value removed. Other
// lines are ignored.
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

// unquote removes a quote at the beginning, and then one at the end.
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

// knownLocales leaves out of the requested variables the locales that the machine
// does not have: the C library would use plain C for them, without UTF-8. The
// machine's own LANG overrides the client's, as with sshd's SetEnv. If no LANG is
// left, it is C.UTF-8.
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

// localesOf returns a function that reports whether the machine, with its files below
// root, has a locale. musl's C library accepts all of them, since it uses UTF-8 for
// each; but if glibc exists, too, programs use that.
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

// normalized returns a locale with its codeset as glibc writes it: in small letters
// and digits.
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

// isArchived reports whether glibc's archive has a locale. The names are in one
// table, each with a NUL at its end; the archive's header has the table's place.
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
