package compose

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// mistake returns an error for common mistakes in the files, which compose-go would
// report in unclear words or not at all.
func (s Sources) mistake() error {
	if len(s) == 0 {
		return nil
	}
	first := s[0]
	if line := firstService(first.Root); line > 0 {
		return fmt.Errorf("%s:%d: a compose file of version 1: write a line services: above its services, and indent them", first.Path, line)
	}
	if line := overlayTag(first.Root); line > 0 {
		return fmt.Errorf("%s:%d: this changes a file before it, and none was named: -f docker-compose.yml -f %s, say", first.Path, line, first.Path)
	}
	if regexp.MustCompile(`\.override\.ya?ml$`).MatchString(first.Path) {
		base := regexp.MustCompile(`\.override(\.ya?ml)$`).ReplaceAllString(first.Path, "$1")
		return fmt.Errorf("%s overrides a file before it, and none was named: -f %s -f %s", first.Path, base, first.Path)
	}
	return nil
}

// firstService returns the line of the first service in a file of compose's version
// 1, which has them at its top; 0 for a present file.
func firstService(root *yaml.Node) int {
	top := root
	if top.Kind == yaml.DocumentNode && len(top.Content) > 0 {
		top = top.Content[0]
	}
	for _, key := range []string{"services", "include", "version", "name"} {
		if found, _ := entry(top, key); found != nil {
			return 0
		}
	}
	for i := 0; top.Kind == yaml.MappingNode && i+1 < len(top.Content); i += 2 {
		for _, key := range []string{"image", "build"} {
			if found, _ := entry(top.Content[i+1], key); found != nil {
				return top.Content[i].Line
			}
		}
	}
	return 0
}

// overlayTag returns the line of the first YAML tag by which one file changes
// another; 0 if there is none.
func overlayTag(node *yaml.Node) int {
	if node.Tag == "!reset" || node.Tag == "!override" {
		return node.Line
	}
	for _, below := range node.Content {
		if line := overlayTag(below); line > 0 {
			return line
		}
	}
	return 0
}

// nothingAsked returns an error if every service has a profile and no profile is
// active.
func (p *Project) nothingAsked() error {
	if len(p.Services) > 0 || len(p.DisabledServices) == 0 {
		return nil
	}
	var names []string
	for _, service := range p.DisabledServices {
		names = append(names, service.Profiles...)
	}
	slices.Sort(names)
	return fmt.Errorf("every service is under a profile, and none is asked for; there are %s: --profile NAME", strings.Join(slices.Compact(names), ", "))
}

// refused returns an error for settings of a service that provision cannot carry out,
// or that the engine would refuse only after other things were created.
func (p *Project) refused(c types.ServiceConfig) error {
	for _, v := range c.Volumes {
		switch {
		case filepath.IsAbs(v.Target) || strings.Contains(v.Source, ":"): // which is left out
		case regexp.MustCompile(`^[A-Za-z]:/`).MatchString(v.Target):
			return fmt.Errorf("volume %s: a name of one letter is a drive of Windows; give the volume a longer one", v.Target)
		default:
			return fmt.Errorf("volume target %s is no absolute path in the container", v.Target)
		}
	}
	switch {
	case !regexp.MustCompile(`^(|no|always|unless-stopped|on-failure(:\d+)?)$`).MatchString(c.Restart):
		return fmt.Errorf("restart is no, always, unless-stopped, on-failure or on-failure:3, not %q", c.Restart)
	case c.Provider != nil:
		return fmt.Errorf("provider: %s is a program that docker compose runs, and no container; provision does not run it", c.Provider.Type)
	case c.Build != nil && isURL(c.Build.Context):
		return fmt.Errorf("build context %s is a URL, and provision builds from a directory here: clone it", c.Build.Context)
	case c.Build != nil && strings.ToLower(c.Name) != c.Name:
		return fmt.Errorf("a service with a build names an image, which has no capital letters: call it %s", strings.ToLower(c.Name))
	case c.Build != nil && strings.ToLower(p.Name) != p.Name:
		return fmt.Errorf("a project with a build names an image, which has no capital letters: -p %s", strings.ToLower(p.Name))
	}
	return nil
}

func isURL(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/") && !filepath.IsAbs(context)
}

// buildersOf returns the services that build images which others may name, by image.
// If there are several, the first one by name counts.
func buildersOf(p *types.Project) map[string]types.ServiceConfig {
	makers := map[string]types.ServiceConfig{}
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for _, name := range slices.Sorted(maps.Keys(services)) {
			service := services[name]
			if _, taken := makers[service.Image]; service.Build != nil && service.Image != "" && !taken {
				makers[service.Image] = service
			}
		}
	}
	return makers
}
