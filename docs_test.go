package berth_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every link of a page leads to a file that is here, and to a heading in it.
func TestLinksResolve(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages(t) {
		for _, link := range links.FindAllStringSubmatch(read(t, page), -1) {
			target, heading, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s: %v", page, link[1], err)
			} else if heading != "" && !slices.Contains(headings(read(t, file)), heading) {
				t.Errorf("%s: %s has no heading %q", page, file, heading)
			}
		}
	}
}

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

// headings are the anchors of a page, as those who show Markdown make them.
func headings(text string) []string {
	var all []string
	dropped := regexp.MustCompile(`[^\w\- ]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchor := dropped.ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(anchor, " ", "-"))
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
