// Package endpoint serves the one AWS endpoint of the sandbox: the gateway with
// everything behind it.
package endpoint

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/intraverse/dcv-sessions/sandbox/awsmodel"
	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/builder"
	"github.com/intraverse/dcv-sessions/sandbox/cloudwatch"
	"github.com/intraverse/dcv-sessions/sandbox/ecs"
	"github.com/intraverse/dcv-sessions/sandbox/events"
	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Serve serves the AWS endpoint until a signal ends it: moto with the behaviour
// that it lacks, the rights of roles, and AWS Batch's jobs on this machine's Docker.
func Serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "the address to serve at, on loopback")
	moto := flags.String("moto", "", "the moto server's URL")
	registry := flags.String("registry", "", "the local registry, HOST:PORT")
	models := flags.String("models", "", "the folder of AWS's API models: botocore's data")
	start := flags.String("start", "", "the id of this start of the local AWS")
	configs := flags.String("configs", "", "the folder with the stacks' configurations, which allow privileged containers")
	docker := flags.String("docker", "", "the DOCKER_HOST that jobs run on")
	cache := flags.String("cache", "", "the folder of builds that work trees share")
	label := flags.String("label", "", "the label of their containers")
	hostStart := flags.Duration("host-start", 2*time.Second, "how long a simulated host takes to start; on AWS it is minutes")
	hostIdle := flags.Duration("host-idle", time.Minute, "after how long without a job it leaves")
	alarmMinute := flags.Duration("alarm-minute", time.Minute, "how long a minute of an alarm's periods is")
	updateMinute := flags.Duration("update-minute", time.Minute, "how long a minute of a compute environment's update policy is")
	minute := flags.Duration("builder-minute", time.Minute, "how long a minute of the builder's watchdog is")
	eventRetry := flags.Duration("event-retry", 250*time.Millisecond, "how long EventBridge waits before it first tries a target again")
	if err := flags.Parse(args); err != nil {
		return err
	}
	accessKey := os.Getenv(local.AccessKeyVariable)
	if accessKey == "" {
		return fmt.Errorf("%s is empty: the administrator's access key is needed", local.AccessKeyVariable)
	}
	upstream, err := url.Parse(*moto)
	if err != nil {
		return err
	}
	allowed, err := awsmodel.Open(*models)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	endpoint := "http://" + listener.Addr().String()
	rights := gateway.NewRights(upstream)
	rights.AccessKey = accessKey
	runner, err := ecs.New(ecs.Config{
		DockerHost: *docker, Label: *label, Endpoint: endpoint, Registry: *registry,
		Roles: rights, Admin: credentials.NewStaticCredentialsProvider(accessKey, local.SecretKey, ""), Log: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer runner.Close()
	jobs := batch.NewService(batch.Config{
		AccessKey: accessKey, Agent: runner, HostStart: *hostStart, HostIdle: *hostIdle, Minute: *updateMinute,
		Now: time.Now, NewID: batch.RandomID, Logf: log.New(os.Stderr, "batch: ", log.LstdFlags).Printf,
	}, endpoint)
	settings := local.Configs(*configs)
	jobs.Check = ecs.Checked(func() error { return settings.Need("session.privileged", "true") })
	rights.JobTags = jobs.JobTags
	bridge := events.New(events.Config{
		Moto: upstream, Grants: rights.Grants, Admits: rights.Admits, FirstRetry: *eventRetry,
		Now: time.Now, NewID: newUUID, Logf: log.New(os.Stderr, "events: ", log.LstdFlags).Printf,
	})
	metrics := cloudwatch.New(cloudwatch.Config{
		Moto: upstream, Admits: rights.Admits, Minute: *alarmMinute,
		Now: time.Now, NewID: newUUID, Logf: log.New(os.Stderr, "cloudwatch: ", log.LstdFlags).Printf,
	})
	jobs.Changed, jobs.Blocked = bridge.JobChanged, bridge.QueueBlocked
	jobs.Measured = func(m batch.Measurement) { metrics.Put(jobMetric(m), cloudwatch.Single(m.At, m.Unit, m.Value)) }
	pages := builderMetadata(rights, upstream)
	machines := builder.New(builder.Config{DockerHost: *docker, Label: *label, Root: builder.Root{Cache: *cache}, Minute: *minute, Log: os.Stderr,
		Allowed: func() error { return settings.Need("image.buildOn", "builder") }})
	pages[batch.HostsPath], pages[events.Path] = jobs.HostsPage, bridge.Page
	pages[builder.RelayPath], pages[gateway.GrantsPath] = machines.RelayPage, rights.GrantsPage
	g, err := gateway.New(gateway.Config{
		Upstream: upstream, Registry: *registry, StartID: *start, Log: os.Stderr, Models: allowed,
		Behaviours: slices.Concat(jobs.Behaviours(), bridge.Behaviours(), metrics.Behaviours(), gateway.MachineBehaviours(upstream, machines, newUUID),
			[]gateway.Behaviour{runner.SecurityGroups(), rights.Behaviour(), rights.SessionManager()}),
		ObjectChanged: bridge.ObjectChanged,
		Pages:         pages, AccessKey: accessKey,
	})
	if err != nil {
		return err
	}
	go jobs.Run(ctx)
	go jobs.CountVCPUs(ctx, func(v batch.VCPUs) { metrics.Put(usageMetric(v), cloudwatch.Single(v.At, "None", float64(v.Count))) })
	go bridge.Run(ctx)
	go metrics.Run(ctx)
	server := &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func newUUID() string { return batch.UUID(batch.RandomID()) }
