package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// errNoFile: no compose file was named, and none is here.
var errNoFile = errors.New("no compose.yaml or docker-compose.yml here or above; name one with -f")

// loadOptions say which compose files are meant, and how they are read: as the
// flags of docker compose do.
type loadOptions struct {
	files    []string // the later override the earlier; none: the usual name here or above
	project  string   // its name; "": as compose has it
	profiles []string
	envFiles []string // of variables; none: .env
	base     string   // of host images, for services that have none
}

// project is the compose files, read and merged.
type project struct {
	*types.Project
	sources  sources
	warnings []string
}

// loadProject reads the compose files as docker compose does: merged, with
// .env, variables and profiles. A service may have neither image nor build,
// which compose refuses: it gets the host image.
func loadProject(ctx context.Context, o loadOptions) (*project, error) {
	warnings := listenToCompose()
	config, err := cli.NewProjectOptions(o.files,
		cli.WithName(o.project), cli.WithOsEnv, cli.WithEnvFiles(o.envFiles...), cli.WithDotEnv,
		cli.WithConfigFileEnv, cli.WithDefaultConfigPath, cli.WithDefaultProfiles(o.profiles...),
		cli.WithConsistency(false)) // see loadWithHostImage
	if err != nil {
		return nil, err
	}
	if len(config.ConfigPaths) == 0 {
		return nil, errNoFile
	}
	sources, err := readSources(config.ConfigPaths)
	if err != nil {
		return nil, err
	}
	loaded, err := loadWithHostImage(ctx, config, o.base)
	if err != nil {
		return nil, sources.explain(err)
	}
	return &project{loaded.WithoutUnnecessaryResources(), sources, warnings.unique()}, nil
}

// loadWithHostImage loads twice: once to learn which services have no image,
// and then whole, with the host image in those and every check of compose's.
func loadWithHostImage(ctx context.Context, config *cli.ProjectOptions, base string) (*types.Project, error) {
	draft, err := config.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	details, err := config.ReadConfigFiles(ctx, draft.WorkingDir, config)
	if err != nil {
		return nil, err
	}
	services := map[string]any{}
	for name, service := range draft.Services {
		if service.Image == "" && service.Build == nil && service.Provider == nil {
			services[name] = map[string]string{"image": plainHostImage(baseOf(service, base))}
		}
	}
	if len(services) > 0 {
		override, err := json.Marshal(map[string]any{"services": services})
		if err != nil {
			return nil, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: "host image", Content: override})
	}
	details.Environment = draft.Environment
	return loader.LoadWithContext(ctx, *details, loader.WithProfiles(draft.Profiles), func(o *loader.Options) {
		o.SetProjectName(draft.Name, true)
	})
}

// baseOf is what the host image of a service is made from. x-berth is checked
// later; until then a base that is no text is none.
func baseOf(service types.ServiceConfig, base string) string {
	if keys, ok := service.Extensions[extension].(map[string]any); ok {
		if own, ok := keys["base"].(string); ok && own != "" {
			return own
		}
	}
	return base
}

// projectName is the project that the options mean, by compose's own rule; ""
// where nothing names one.
func projectName(ctx context.Context, o loadOptions) (string, error) {
	if o.project != "" {
		return o.project, nil
	}
	project, err := loadProject(ctx, o)
	if errors.Is(err, errNoFile) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return project.Name, nil
}

// heard collects what compose-go logs, which are warnings for the plan.
type heard struct{ lines []string }

func listenToCompose() *heard {
	h := &heard{}
	logrus.SetOutput(io.Discard)
	logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{logrus.WarnLevel: {h}})
	return h
}

func (h *heard) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

func (h *heard) Fire(entry *logrus.Entry) error {
	h.lines = append(h.lines, entry.Message)
	return nil
}

func (h *heard) unique() []string {
	slices.Sort(h.lines)
	return slices.Compact(h.lines)
}
