package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// EveryProfile is a profile that activates the services of all profiles.
const EveryProfile = "*"

// ErrNoFile is the error if no compose file was named and none was found.
var ErrNoFile = errors.New("no compose.yaml or docker-compose.yml here or above; name one with -f")

// Options say which compose files to read, and how, like the flags of docker compose.
type Options struct {
	Files    []string // later ones override earlier ones; none: the usual name in this directory or above
	Project  string   // its name; "": as compose has it
	Profiles []string
	EnvFiles []string // files of variables; none: .env
	Base     string   // base of the host image, for services that name none
}

// Project is the content of all compose files together.
type Project struct {
	*types.Project
	Sources  Sources
	warnings []string
	builders map[string]types.ServiceConfig // key: the image that they build
}

// Load reads the compose files as docker compose does: merged, with .env, variables
// and profiles. A service without image and build, which compose refuses, gets the
// host image. The error is [ErrNoFile], or names the file and line, or is the
// context's as soon as that ends.
func Load(ctx context.Context, o Options) (*Project, error) {
	return Await(ctx, func() (*Project, error) { return load(ctx, o) })
}

func load(ctx context.Context, o Options) (*Project, error) {
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
	if err := sources.mistake(); err != nil {
		return nil, err
	}
	loaded, err := loadWithHostImage(ctx, config, o.Base)
	if err != nil {
		return nil, sources.explain(err)
	}
	loaded = loaded.WithoutUnnecessaryResources()
	return &Project{loaded, sources, sources.worded(warnings.lines), buildersOf(loaded)}, nil
}

// loadWithHostImage loads the files twice. The first time finds the services without
// an image and the order of the services. The second time adds the host image, and
// makes all of compose's checks except for cycles: the time of that check grows with
// the square of a chain of services, and faster in a net.
func loadWithHostImage(ctx context.Context, config *cli.ProjectOptions, base string) (*types.Project, error) {
	draft, err := config.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkCycles(draft); err != nil {
		return nil, err
	}
	details, err := config.ReadConfigFiles(ctx, draft.WorkingDir, config)
	if err != nil {
		return nil, err
	}
	details.Environment = draft.Environment
	options := []func(*loader.Options){loader.WithProfiles(draft.Profiles), func(o *loader.Options) { o.SetProjectName(draft.Name, true) }}
	model, err := loader.LoadModelWithContext(ctx, *details, options...)
	if err != nil {
		return nil, err
	}
	services, _ := model["services"].(map[string]any)
	for name, service := range draft.Services {
		if keys, ok := services[name].(map[string]any); ok {
			prepare(keys, service, draft, base)
		}
	}
	project, err := loader.ModelToProject(model, loader.ToOptions(details, options), *details)
	if err != nil {
		return nil, err
	}
	for name, service := range project.Services {
		service.DependsOn = draft.Services[name].DependsOn
		project.Services[name] = service
	}
	return project, nil
}

// prepare gives the host image to a service without an image. It removes the
// dependencies on services that exist; compose-go then complains only of the others.
func prepare(keys map[string]any, service types.ServiceConfig, draft *types.Project, base string) {
	if service.Image == "" && service.Build == nil && service.Provider == nil {
		keys["image"] = plainHostImage(baseOf(service, base))
	}
	dependencies, _ := keys["depends_on"].(map[string]any)
	maps.DeleteFunc(dependencies, func(name string, _ any) bool {
		_, active := draft.Services[name]
		return active
	})
}

// checkCycles returns an error if services depend on each other in a cycle.
func checkCycles(p *types.Project) error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string) error
	visit = func(name string) error {
		if state[name] == visiting {
			circle := append(path[slices.Index(path, name):], name)
			return fmt.Errorf("service %q depends on itself: %s", name, strings.Join(circle, " → "))
		}
		if state[name] == done {
			return nil
		}
		state[name] = visiting
		path = append(path, name)
		for _, dependency := range slices.Sorted(maps.Keys(p.Services[name].DependsOn)) {
			if err := visit(dependency); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		state[name] = done
		return nil
	}
	for _, name := range p.ServiceNames() {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// baseOf returns the base of a service's host image. x-berth is checked later; until
// then a base that is no text counts as none.
func baseOf(service types.ServiceConfig, base string) string {
	if keys, ok := service.Extensions[Extension].(map[string]any); ok {
		if own, ok := keys["base"].(string); ok && own != "" {
			return own
		}
	}
	return base
}

// ProjectName returns the project's name by compose's own rule; "" if nothing gives
// one.
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

// heard collects what compose-go logs: warnings for the plan.
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
