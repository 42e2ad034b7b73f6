package berth_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every link between the pages leads somewhere: to a file of the repository, and to
// a heading where it names one.
func TestLinksOfPagesResolve(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "*.md").Output()
	if err != nil {
		t.Skip("not a git repository: ", err)
	}
	links := 0
	for _, page := range strings.Fields(string(out)) {
		for _, to := range linksOf(t, page) {
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			links++
			if why := whyBroken(t, page, to); why != "" {
				t.Errorf("%s links to %s: %s", page, to, why)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

func linksOf(t *testing.T, page string) (links []string) {
	t.Helper()
	for _, found := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readPage(t, page), -1) {
		links = append(links, found[1])
	}
	return links
}

// readPage is a page without what is quoted in it.
func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?ms)^ *```.*?^ *```").ReplaceAllString(string(text), "")
}

func whyBroken(t *testing.T, page, to string) string {
	t.Helper()
	file, heading, _ := strings.Cut(to, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(target); err != nil {
		return "there is no such file"
	}
	if heading != "" && strings.HasSuffix(target, ".md") && !headingsOf(t, target)[heading] {
		return "there is no such heading"
	}
	return ""
}

// headingsOf are the names by which GitHub links to headings.
func headingsOf(t *testing.T, page string) map[string]bool {
	t.Helper()
	headings := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(readPage(t, page), -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(found[1]), "")
		headings[strings.ReplaceAll(name, " ", "-")] = true
	}
	return headings
}
