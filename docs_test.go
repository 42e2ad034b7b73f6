package berth_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/sshconn"
)

// pages are the Markdown files of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (path == "bin" || strings.HasPrefix(path, ".") && path != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			all = append(all, path)
		}
		return err
	})
	if err != nil || len(all) < 5 {
		t.Fatalf("pages %q: %v", all, err)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a page tells people to type is the name of the program that is installed.
func TestPagesNameThePrograms(t *testing.T) {
	command := regexp.MustCompile(`(?:^|[^-/\w"])((?:gateway (?:serve|check|init|hash-password|selftest|demo)|provision (?:plan|up|down|ps|gpus|doctor|import|logs|exec|build|start|stop|restart))\b)`)
	for _, page := range pages(t) {
		for _, found := range command.FindAllStringSubmatch(read(t, page), -1) {
			t.Errorf("%s: %s; the program is berth-%[2]s", page, found[1])
		}
	}
}

// The messages in the tables of a page are those that the programs say: of each, what
// stands between names, numbers, paths and colons is in the code.
func TestMessagesOfThePagesAreSaid(t *testing.T) {
	said := programs(t)
	others := regexp.MustCompile(`^(Permission denied|REMOTE HOST|Connection timed out|Found left-over process)`) // of ssh and systemd
	varies := regexp.MustCompile(`…|"[^"]*"|/[\w./-]+|\d+|address already in use|: |\(exited\)|\b(anna|master|gateway\.yaml|:2222)\b`)
	found := 0
	for _, page := range pages(t) {
		for _, message := range messages(read(t, page)) {
			if others.MatchString(message) {
				continue
			}
			found++
			for _, part := range varies.Split(strings.ReplaceAll(message, `\"`, `"`), -1) {
				if part = strings.Trim(part, " :;,.()"); len(part) > 8 && !strings.Contains(said, part) {
					t.Errorf("%s: %q: nothing says %q", page, message, part)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d messages were found", found)
	}
}

// messages are what is quoted in the first column of a page's tables of messages.
func messages(page string) (all []string) {
	for _, table := range regexp.MustCompile(`(?m)^\| message \|.*\n\|.*\n((?:\|.*\n)+)`).FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(table[1]) {
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				all = append(all, quoted[1])
			}
		}
	}
	return all
}

// programs is the code, without its tests.
func programs(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (path == "bin" || path == "test" || strings.HasPrefix(path, ".") && path != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			all.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// What a client may set is one list: of the session server, of the sshd in Berth's
// image, and of the page.
func TestVariablesOfClientsAreOneList(t *testing.T) {
	listed := sshconn.ListedEnv()
	if line := "AcceptEnv BERTH_USER SSH_ORIGINAL_COMMAND " + strings.Join(listed, " ") + "\n"; !strings.Contains(read(t, "image/sshd_config"), line) {
		t.Errorf("image/sshd_config has no line %q", line)
	}
	_, section, _ := strings.Cut(read(t, "docs/exec.md"), "## Environment")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, name := range listed {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("docs/exec.md, Environment, does not say %s", name)
		}
	}
}

// Each key of gateway.yaml is on a page.
func TestEveryKeyIsOnAPage(t *testing.T) {
	var text strings.Builder
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "docs/") {
			text.WriteString(read(t, page))
		}
	}
	files, err := filepath.Glob("config/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		for _, list := range regexp.MustCompile(`\.fields\(\w[^"]*"[^"]*"((?:,\s*"\w+")+)`).FindAllStringSubmatch(read(t, file), -1) {
			for _, key := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(list[1], -1) {
				found++
				if !regexp.MustCompile("`" + key[1] + "`|\\b" + key[1] + ":").MatchString(text.String()) {
					t.Errorf("%s: key %s is on no page", file, key[1])
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d keys were found", found)
	}
}
