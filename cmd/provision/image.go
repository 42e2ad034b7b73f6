package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"

	"berth/image"
)

// wantedImage is an image that a container runs: the host image on some base,
// one that compose builds, or one that is pulled.
type wantedImage struct {
	ref  string
	base string  // what the host image is made from; "" where it is not the host image
	make *recipe // nil: it is pulled
}

type recipe struct {
	context func(io.Writer) error // writes the tar
	options client.ImageBuildOptions
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
		make: &recipe{writeHostContext, client.ImageBuildOptions{BuildArgs: v.Args()}},
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
	options := client.ImageBuildOptions{
		Dockerfile:  df.name,
		BuildArgs:   b.Args,
		Target:      b.Target,
		Labels:      b.Labels,
		ExtraHosts:  b.ExtraHosts.AsList(":"),
		NetworkMode: b.Network,
		ShmSize:     int64(b.ShmSize),
		NoCache:     b.NoCache,
		PullParent:  b.Pull,
	}
	if c.Image != "" {
		options.Tags = []string{c.Image}
	}
	context := func(w io.Writer) error { return writeContext(w, b.Context, df) }
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(options); err != nil {
		return wantedImage{}, err
	}
	if err := context(hash); err != nil {
		return wantedImage{}, fmt.Errorf("build context: %w", err)
	}
	return wantedImage{
		ref:  p.Name + "-" + c.Name + ":" + hex.EncodeToString(hash.Sum(nil))[:12],
		make: &recipe{context, options},
	}, nil
}
