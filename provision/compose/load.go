package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// ErrNoFile says that no compose file was named, and that none is here.
var ErrNoFile = errors.New("no compose.yaml or docker-compose.yml here or above; name one with -f")

// Options say which compose files are meant, and how they are read: as the
// flags of docker compose do.
type Options struct {
	Files    []string // the later override the earlier; none: the usual name here or above
	Project  string   // its name; "": as compose has it
	Profiles []string
	EnvFiles []string // of variables; none: .env
	Base     string   // of host images, for services that have none
}

// Project is what the compose files say together.
type Project struct {
	*types.Project
	Sources  Sources
	warnings []string
}

// Load reads the compose files as docker compose does: merged, with .env, variables
// and profiles. A service that has neither image nor build, which compose refuses,
// gets the host image. Its error is [ErrNoFile], or names the file and line.
func Load(ctx context.Context, o Options) (*Project, error) {
	warnings := listenToCompose()
	config, err := cli.NewProjectOptions(o.Files,
		cli.WithName(o.Project), cli.WithOsEnv, cli.WithEnvFiles(o.EnvFiles...), cli.WithDotEnv,
		cli.WithConfigFileEnv, cli.WithDefaultConfigPath, cli.WithDefaultProfiles(o.Profiles...),
		cli.WithConsistency(false)) // see loadWithHostImage
	if err != nil {
		shown, _ := envFileError(err)
		return nil, shown
	}
	if len(config.ConfigPaths) == 0 {
		return nil, ErrNoFile
	}
	sources, err := readSources(config.ConfigPaths)
	if err != nil {
		return nil, err
	}
	loaded, err := loadWithHostImage(ctx, config, o.Base)
	if err != nil {
		return nil, sources.explain(err)
	}
	return &Project{loaded.WithoutUnnecessaryResources(), sources, sources.unset(warnings.lines)}, nil
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

// baseOf returns what a service's host image is made from. x-berth is checked
// later; until then a base that is no text counts as none.
func baseOf(service types.ServiceConfig, base string) string {
	if keys, ok := service.Extensions[Extension].(map[string]any); ok {
		if own, ok := keys["base"].(string); ok && own != "" {
			return own
		}
	}
	return base
}

// ProjectName returns the project that the options mean, by compose's own rule; ""
// where nothing names one.
func ProjectName(ctx context.Context, o Options) (string, error) {
	if o.Project != "" {
		return o.Project, nil
	}
	project, err := Load(ctx, o)
	if errors.Is(err, ErrNoFile) {
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
