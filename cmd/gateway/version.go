package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"berth/patches"
)

// version is what --version prints of this program: the module's version, the
// commit where the build knew it, and whether x/crypto lacks our edits.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	facts := []string{info.GoVersion}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			facts = append(facts, "commit "+short(setting.Value))
		case setting.Key == "vcs.modified" && setting.Value == "true":
			facts = append(facts, "modified")
		}
	}
	if !patches.Applied() {
		facts = append(facts, "x/crypto unpatched")
	}
	return fmt.Sprintf("%s (%s)", info.Main.Version, strings.Join(facts, ", "))
}

// short is a commit as people know it.
func short(revision string) string { return revision[:min(len(revision), 12)] }
