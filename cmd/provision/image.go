package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"berth/image"
)

// wantedImage is an image that a container runs: the host image on some base,
// one that compose builds, or one that is pulled.
type wantedImage struct {
	ref  string
	base string  // what the host image is made from; "" where it is not the host image
	make *recipe // nil: it is pulled
}

// recipe is how an image is built.
type recipe struct {
	context    func(io.Writer) error // writes the tar
	dockerfile string                // its name in the context
	args       map[string]*string
	target     string
	labels     map[string]string
	extraHosts []string
	network    string
	shmSize    int64
	noCache    bool
	pullParent bool
	tags       []string // besides the one that it is known by
}

func (i wantedImage) isHost() bool { return i.base != "" }

func (p *project) wantImage(c types.ServiceConfig, base string, dockerCLI bool) (wantedImage, error) {
	switch {
	case c.Build != nil:
		return p.builtImage(c)
	case c.Image == plainHostImage(base):
		return hostImage(image.Variant{Base: base, DockerCLI: dockerCLI})
	}
	named, err := reference.ParseNormalizedNamed(c.Image)
	if err != nil {
		return wantedImage{}, fmt.Errorf("image %q: %w", c.Image, err)
	}
	return wantedImage{ref: reference.FamiliarString(reference.TagNameOnly(named))}, nil
}

// plainHostImage stands in a service that has no image of its own.
func plainHostImage(base string) string { return image.Variant{Base: base}.Tag() }

func hostImage(v image.Variant) (wantedImage, error) {
	named, err := reference.ParseNormalizedNamed(v.Base)
	if err != nil {
		return wantedImage{}, fmt.Errorf("base image %q: %w", v.Base, err)
	}
	return wantedImage{
		ref:  v.Tag(),
		base: reference.FamiliarString(reference.TagNameOnly(named)),
		make: &recipe{context: writeHostContext, args: v.Args()},
	}, nil
}

func writeHostContext(w io.Writer) error {
	_, err := io.Copy(w, image.Context())
	return err
}

// builtImage is an image of compose's build section. Its tag is the hash of
// all that goes into it, so a changed Dockerfile or context is another image.
func (p *project) builtImage(c types.ServiceConfig) (wantedImage, error) {
	b := c.Build
	if info, err := os.Stat(b.Context); err != nil || !info.IsDir() {
		return wantedImage{}, fmt.Errorf("build context %s is not a directory here", shortPath(b.Context))
	}
	df, err := dockerfileOf(b)
	if err != nil {
		return wantedImage{}, err
	}
	r := &recipe{
		context:    func(w io.Writer) error { return writeContext(w, b.Context, df) },
		dockerfile: df.name,
		args:       b.Args,
		target:     b.Target,
		labels:     b.Labels,
		extraHosts: b.ExtraHosts.AsList(":"),
		network:    b.Network,
		shmSize:    int64(b.ShmSize),
		noCache:    b.NoCache,
		pullParent: b.Pull,
	}
	if c.Image != "" {
		r.tags = []string{c.Image}
	}
	tag, err := r.tag()
	if err != nil {
		return wantedImage{}, fmt.Errorf("build context: %w", err)
	}
	return wantedImage{ref: p.Name + "-" + c.Name + ":" + tag, make: r}, nil
}

// tag returns the hash of all that goes into the image: its settings, in the form
// of settingsText, and its context.
func (r *recipe) tag() (string, error) {
	hash := sha256.New()
	io.WriteString(hash, r.settingsText())
	if err := r.context(hash); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// settingsText returns the settings as they go into the tag, version 1: a line of
// JSON with these keys in this order. What has no value here is not ours to
// set; it stays, as every image would be built again, and every host recreated,
// if a byte of this changed.
func (r *recipe) settingsText() string {
	return fmt.Sprintf(`{"Tags":%s,"SuppressOutput":false,"RemoteContext":"","NoCache":%t,"Remove":false,"ForceRemove":false,"PullParent":%t,`+
		`"Isolation":"","CPUSetCPUs":"","CPUSetMems":"","CPUShares":0,"CPUQuota":0,"CPUPeriod":0,"Memory":0,"MemorySwap":0,"CgroupParent":"",`+
		`"NetworkMode":%s,"ShmSize":%d,"Dockerfile":%s,"Ulimits":null,"BuildArgs":%s,"AuthConfigs":null,"Context":null,"Labels":%s,`+
		`"Squash":false,"CacheFrom":null,"SecurityOpt":null,"ExtraHosts":%s,"Target":%s,"SessionID":"","Platforms":null,"Version":"","BuildID":"","Outputs":null}`+"\n",
		inJSON(r.tags), r.noCache, r.pullParent, inJSON(r.network), r.shmSize, inJSON(r.dockerfile),
		inJSON(r.args), inJSON(r.labels), inJSON(r.extraHosts), inJSON(r.target))
}
