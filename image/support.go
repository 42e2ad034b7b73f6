package image

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// support is how long a release gets security updates for free.
type support struct {
	release string // as images are tagged: a name, or a version
	end     string // year and month, the last in which it has any
}

// The last months of Debian's long-term support and of Ubuntu's standard
// support, from their own release pages. What is not here is not warned about.
func debianSupport() []support {
	return []support{
		{"stretch", "2022-06"}, {"9", "2022-06"},
		{"buster", "2024-06"}, {"10", "2024-06"},
		{"bullseye", "2026-08"}, {"11", "2026-08"},
		{"bookworm", "2028-06"}, {"12", "2028-06"},
		{"trixie", "2030-06"}, {"13", "2030-06"},
	}
}

func ubuntuSupport() []support {
	return []support{
		{"bionic", "2023-05"}, {"18.04", "2023-05"},
		{"focal", "2025-05"}, {"20.04", "2025-05"},
		{"jammy", "2027-06"}, {"22.04", "2027-06"},
		{"noble", "2029-05"}, {"24.04", "2029-05"},
	}
}

// A base is known by its repository's name and the release in its tag, and one
// of NVIDIA's by the Ubuntu in its tag: 12.4.1-devel-ubuntu22.04.
var (
	plainBase = regexp.MustCompile(`(?:^|/)(debian|ubuntu):([a-z]+|[0-9]+(?:\.[0-9]+)?)(?:[.-].*)?$`)
	inTag     = regexp.MustCompile(`:.*(ubuntu|debian)([0-9]+(?:\.[0-9]+)?)(?:-.*)?$`)
)

// PastSupport returns a warning where a base's distribution gets no security
// updates any more at that time; "" where it does, or is not known.
func PastSupport(base string, now time.Time) string {
	found := plainBase.FindStringSubmatch(base)
	if found == nil {
		found = inTag.FindStringSubmatch(base)
	}
	if found == nil {
		return ""
	}
	table := debianSupport()
	if found[1] == "ubuntu" {
		table = ubuntuSupport()
	}
	for _, s := range table {
		release := found[2]
		if found[1] == "debian" { // debian:12.5 is Debian 12
			release, _, _ = strings.Cut(release, ".")
		}
		end, err := time.Parse("2006-01", s.end)
		if err == nil && s.release == release && !now.Before(end.AddDate(0, 1, 0)) {
			return fmt.Sprintf("base %s: %s %s has had no security updates since %s; %s is the default",
				base, found[1], found[2], end.AddDate(0, 1, 0).Format("2 January 2006"), DefaultBase)
		}
	}
	return ""
}
