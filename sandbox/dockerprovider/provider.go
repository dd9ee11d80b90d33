package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// engineLog is the engine's log. A status line shows progress and disappears
// afterwards; a log line stays.
type engineLog interface {
	Log(context.Context, diag.Severity, resource.URN, string) error
	LogStatus(context.Context, diag.Severity, resource.URN, string) error
}

// server is the provider. Only Create and Update, outside of previews, reach
// for a Docker: a builder that is stopped must not fail anything else.
type server struct {
	pulumirpc.UnimplementedResourceProviderServer

	engine        engineLog
	client        string // the docker command
	config        config
	acceptSecrets bool
	introduction  sync.Once

	running context.Context // ends with Cancel
	cancel  context.CancelFunc
}

func newServer(host *provider.HostClient) *server {
	s := &server{client: local.Docker(context.Background(), "").Path}
	if host != nil {
		s.engine = host
	}
	s.running, s.cancel = context.WithCancel(context.Background())
	return s
}

// Attach gives a provider that was started by hand, in a debugger, its engine.
func (s *server) Attach(_ context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	host, err := provider.NewHostClient(req.GetAddress())
	if err != nil {
		return nil, err
	}
	s.engine = host
	return &emptypb.Empty{}, nil
}

func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

func (s *server) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: schema}, nil
}

// Handshake is how newer engines begin. All of them take secrets.
func (s *server) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	s.acceptSecrets = true
	return &pulumirpc.ProviderHandshakeResponse{AcceptSecrets: true, AcceptResources: true}, nil
}

// CheckConfig refuses the settings that would lead to another Docker than they say.
func (s *server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	news, err := read(req.GetNews())
	if err != nil {
		return nil, err
	}
	_, failures := parseConfig(plain(news))
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: failures}, nil
}

// DiffConfig never asks for a replacement: images in the registry do not depend on
// the Docker that built them.
func (s *server) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, news, err := readTwo(req.GetOldInputs(), req.GetNews())
	if err != nil {
		return nil, err
	}
	return diffResponse(plain(olds).Diff(plain(news))), nil
}

// Configure takes the Docker's address, and does not try it.
func (s *server) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	args, err := read(req.GetArgs())
	if err != nil {
		return nil, err
	}
	parsed, failures := parseConfig(plain(args))
	if len(failures) > 0 {
		return nil, fmt.Errorf("%s: %s", failures[0].GetProperty(), failures[0].GetReason())
	}
	s.config, s.acceptSecrets = parsed, req.GetAcceptSecrets()
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, AcceptResources: true, SupportsPreview: true}, nil
}

// Check fills in the defaults and the digest of the build context, by which
// Diff knows that a file has changed.
func (s *server) Check(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	if err := imagesOnly(req.GetUrn()); err != nil {
		return nil, err
	}
	news, err := read(req.GetNews())
	if err != nil {
		return nil, err
	}
	checked, failures := check(plain(news))
	inputs, err := s.write(hidePassword(restoreSecrets(checked, news)))
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: inputs, Failures: failures}, nil
}

// Diff compares inputs; every difference is an update in place.
func (s *server) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	if err := imagesOnly(req.GetUrn()); err != nil {
		return nil, err
	}
	olds, news, err := readTwo(req.GetOlds(), req.GetNews())
	if err != nil {
		return nil, err
	}
	before := plain(olds)[inputsKey]
	if !before.IsObject() { // an imported image has none
		oldInputs, err := read(req.GetOldInputs())
		if err != nil {
			return nil, err
		}
		before = resource.NewProperty(plain(oldInputs))
	}
	return diffResponse(diff(before.ObjectValue(), plain(news))), nil
}

func (s *server) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	id, outputs, err := s.make(ctx, req.GetUrn(), req.GetProperties(), req.GetPreview())
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: outputs}, nil
}

// Update builds and pushes again. The id stays the first image's name.
func (s *server) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	_, outputs, err := s.make(ctx, req.GetUrn(), req.GetNews(), req.GetPreview())
	if err != nil {
		return nil, err
	}
	return &pulumirpc.UpdateResponse{Properties: outputs}, nil
}

// Read returns its request's properties, as the released provider does.
func (s *server) Read(_ context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	if err := imagesOnly(req.GetUrn()); err != nil {
		return nil, err
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: req.GetInputs(), Properties: req.GetProperties()}, nil
}

// Delete leaves the image in the registry, as the released provider does.
func (s *server) Delete(_ context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, imagesOnly(req.GetUrn())
}

// Invoke returns an error that names the function; the default error does not.
func (s *server) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	return nil, notKnown("function", req.GetTok())
}

// Cancel ends the builds that run.
func (s *server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	s.cancel()
	return &emptypb.Empty{}, nil
}

// make builds and pushes an image, or returns the expected outputs for a preview.
func (s *server) make(ctx context.Context, urn string, properties *structpb.Struct, preview bool) (string, *structpb.Struct, error) {
	if err := imagesOnly(urn); err != nil {
		return "", nil, err
	}
	inputs, err := read(properties)
	if err != nil {
		return "", nil, err
	}
	img := decode(plain(inputs))
	digest := resource.MakeComputed(resource.NewProperty(""))
	if !preview {
		built, err := s.build(ctx, resource.URN(urn), img)
		if err != nil {
			return "", nil, err
		}
		digest = resource.NewProperty(built)
	}
	outputs, err := s.write(outputs(inputs, digest))
	return img.name, outputs, err
}

func (s *server) build(ctx context.Context, urn resource.URN, img image) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.running, stop)()
	s.introduction.Do(func() {
		s.log(func(e engineLog) error {
			return e.Log(ctx, diag.Info, urn, "sandbox stand-in for the Docker provider: docker build by the docker command")
		})
	})
	return buildAndPush(ctx, img, s.config, docker{client: s.client, progress: func(line string) {
		s.log(func(e engineLog) error { return e.LogStatus(ctx, diag.Info, urn, line) })
	}})
}

// log speaks to the engine if there is one. A line that gets lost must not fail
// a build.
func (s *server) log(say func(engineLog) error) {
	if s.engine != nil {
		_ = say(s.engine)
	}
}

// read keeps secrets and unknowns, and drops nulls.
func read(properties *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(properties, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: true, KeepResources: true, SkipNulls: true, RejectAssets: true,
	})
}

func readTwo(a, b *structpb.Struct) (first, second resource.PropertyMap, err error) {
	if first, err = read(a); err != nil {
		return nil, nil, err
	}
	second, err = read(b)
	return first, second, err
}

// write keeps secrets only for engines that understand them.
func (s *server) write(properties resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(properties, plugin.MarshalOptions{
		KeepUnknowns: true, KeepSecrets: s.acceptSecrets, KeepResources: true, SkipNulls: true,
	})
}

func diffResponse(d *resource.ObjectDiff) *pulumirpc.DiffResponse {
	if d == nil {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	}
	res := &pulumirpc.DiffResponse{
		Changes: pulumirpc.DiffResponse_DIFF_SOME, HasDetailedDiff: true, DetailedDiff: map[string]*pulumirpc.PropertyDiff{},
	}
	for _, key := range d.ChangedKeys() {
		res.Diffs = append(res.Diffs, string(key))
	}
	slices.Sort(res.Diffs)
	for path, change := range plugin.NewDetailedDiffFromObjectDiff(d, true) {
		res.DetailedDiff[path] = &pulumirpc.PropertyDiff{Kind: pulumirpc.PropertyDiff_Kind(change.Kind), InputDiff: true}
	}
	return res
}

const imageType = "docker:index/image:Image"

func imagesOnly(urn string) error {
	if t := string(resource.URN(urn).Type()); t != imageType {
		return notKnown("type", t)
	}
	return nil
}

func notKnown(kind, token string) error {
	return fmt.Errorf("the %s %s is not in the sandbox's stand-in for the Docker provider, which knows %s only: "+
		"the released provider %s has it", kind, token, imageType, version)
}

const schema = `{
 "name": "docker", "version": "` + version + `",
 "description": "The sandbox's stand-in for the Docker provider: docker.Image only.",
 "resources": {"` + imageType + `": {
  "inputProperties": {
   "imageName": {"type": "string"}, "skipPush": {"type": "boolean"}, "buildOnPreview": {"type": "boolean"},
   "build": {"$ref": "pulumi.json#/Any"}, "registry": {"$ref": "pulumi.json#/Any"}
  },
  "requiredInputs": ["imageName"],
  "properties": {
   "baseImageName": {"type": "string"}, "context": {"type": "string"}, "dockerfile": {"type": "string"},
   "imageName": {"type": "string"}, "platform": {"type": "string"}, "registryServer": {"type": "string"},
   "repoDigest": {"type": "string"}
  },
  "required": ["baseImageName", "context", "dockerfile", "imageName", "registryServer", "repoDigest"]
 }}
}`
