package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"github.com/berth-ssh/berth/image"
)

// Image is an image that a container runs: the host image on some base, one that
// compose builds, or one that is pulled.
type Image struct {
	Ref    string
	Base   string  // what the host image is made from; "" where it is not the host image
	Recipe *Recipe // nil if it is pulled
}

// Recipe is how an image is built.
type Recipe struct {
	Context    func(io.Writer) error // writes the tar
	Dockerfile string                // its name in the context
	Args       map[string]*string
	Target     string
	Labels     map[string]string
	ExtraHosts []string
	Network    string
	ShmSize    int64
	NoCache    bool
	PullParent bool
	Tags       []string // besides its own tag
}

// IsHost reports whether it is the host image.
func (i Image) IsHost() bool { return i.Base != "" }

// Variant returns the settings of the host image that the files ask for, in the form
// of the label berth.variant: the arguments of its build as JSON. It is "" for every
// other image.
func (i Image) Variant() string {
	if !i.IsHost() {
		return ""
	}
	return asJSON(i.Recipe.Args)
}

func (p *Project) wantImage(c types.ServiceConfig, s Settings, base string, g guard) (Image, error) {
	if err := p.refused(c); err != nil {
		return Image{}, err
	}
	maker, builtHere := p.builders[c.Image]
	switch {
	case c.Build != nil:
		return p.builtImage(c, g)
	case builtHere:
		return p.builtImage(maker, g)
	case c.Image == plainHostImage(base):
		return hostImage(image.Variant{Base: base, DockerCLI: s.dockerCLI, Packages: strings.Join(s.packages, " ")})
	}
	named, err := reference.ParseNormalizedNamed(c.Image)
	if err != nil {
		return Image{}, fmt.Errorf("image %q: %w", c.Image, err)
	}
	return Image{Ref: reference.FamiliarString(reference.TagNameOnly(named))}, nil
}

// plainHostImage returns the image for a service that names none.
func plainHostImage(base string) string { return image.Variant{Base: base}.Tag() }

func hostImage(v image.Variant) (Image, error) {
	named, err := reference.ParseNormalizedNamed(v.Base)
	if err != nil {
		return Image{}, fmt.Errorf("base image %q: %w", v.Base, err)
	}
	return Image{
		Ref:    v.Tag(),
		Base:   reference.FamiliarString(reference.TagNameOnly(named)),
		Recipe: &Recipe{Context: writeHostContext, Args: v.Args()},
	}, nil
}

func writeHostContext(w io.Writer) error {
	_, err := io.Copy(w, image.Context())
	return err
}

// builtImage returns the image of a service's build section. Its tag is a hash of
// everything that the build uses, so a changed Dockerfile or context gives another
// image.
func (p *Project) builtImage(c types.ServiceConfig, g guard) (Image, error) {
	b := c.Build
	if g.leadsToState(b.Context) {
		return Image{}, fmt.Errorf("build context %s: the gateway's keys are there (%s), and no image gets them", ShortPath(b.Context), g.state)
	}
	if info, err := os.Stat(b.Context); err != nil || !info.IsDir() {
		return Image{}, fmt.Errorf("build context %s is not a directory here", ShortPath(b.Context))
	}
	df, err := DockerfileOf(b)
	if err != nil {
		return Image{}, err
	}
	r := &Recipe{
		Context:    func(w io.Writer) error { return writeContext(w, b.Context, df) },
		Dockerfile: df.Name,
		Args:       b.Args,
		Target:     b.Target,
		Labels:     b.Labels,
		ExtraHosts: extraHosts(b.ExtraHosts),
		Network:    b.Network,
		ShmSize:    int64(b.ShmSize),
		NoCache:    b.NoCache,
		PullParent: b.Pull,
	}
	if c.Image != "" {
		r.Tags = []string{c.Image}
	}
	tag, err := r.tag()
	if err != nil {
		return Image{}, fmt.Errorf("build context: %w", err)
	}
	return Image{Ref: p.Name + "-" + c.Name + ":" + tag, Recipe: r}, nil
}

// tag returns the hash of everything that the build uses: its settings, in the form
// of settingsText, and its context.
func (r *Recipe) tag() (string, error) {
	hash := sha256.New()
	io.WriteString(hash, r.settingsText())
	if err := r.Context(hash); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// settingsText returns the settings as they go into the tag, version 1: a line of
// JSON with these keys in this order. It must not change by a byte, also for settings
// without a value: every image would be built again, and every host recreated.
func (r *Recipe) settingsText() string {
	return fmt.Sprintf(`{"Tags":%s,"SuppressOutput":false,"RemoteContext":"","NoCache":%t,"Remove":false,"ForceRemove":false,"PullParent":%t,`+
		`"Isolation":"","CPUSetCPUs":"","CPUSetMems":"","CPUShares":0,"CPUQuota":0,"CPUPeriod":0,"Memory":0,"MemorySwap":0,"CgroupParent":"",`+
		`"NetworkMode":%s,"ShmSize":%d,"Dockerfile":%s,"Ulimits":null,"BuildArgs":%s,"AuthConfigs":null,"Context":null,"Labels":%s,`+
		`"Squash":false,"CacheFrom":null,"SecurityOpt":null,"ExtraHosts":%s,"Target":%s,"SessionID":"","Platforms":null,"Version":"","BuildID":"","Outputs":null}`+"\n",
		asJSON(r.Tags), r.NoCache, r.PullParent, asJSON(r.Network), r.ShmSize, asJSON(r.Dockerfile),
		asJSON(r.Args), asJSON(r.Labels), asJSON(r.ExtraHosts), asJSON(r.Target))
}

// asJSON returns texts, lists and maps as JSON, with the keys of a map in order.
func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // cannot fail for these types
	}
	return string(text)
}
