package batch

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// control reads the control plane by AWS's own calls.
type control struct{ endpoint, accessKey string }

// place is an environment's place in a queue.
type place struct {
	Order       int    `json:"order"`
	Environment string `json:"computeEnvironment"`
}

// plane reads all queues and environments.
func (c control) plane(ctx context.Context) (Plane, error) {
	var p Plane
	var queues struct {
		JobQueues []struct {
			ARN      string  `json:"jobQueueArn"`
			Name     string  `json:"jobQueueName"`
			State    string  `json:"state"`
			Priority int     `json:"priority"`
			Order    []place `json:"computeEnvironmentOrder"`
			Limits   []struct {
				Reason string `json:"reason"`
				Max    int    `json:"maxTimeSeconds"`
			} `json:"jobStateTimeLimitActions"`
		} `json:"jobQueues"`
	}
	if err := c.post(ctx, "describejobqueues", struct{}{}, &queues); err != nil {
		return p, err
	}
	for _, q := range queues.JobQueues {
		queue := Queue{ARN: q.ARN, Name: q.Name, Enabled: q.State == "ENABLED", Priority: q.Priority}
		slices.SortFunc(q.Order, func(a, b place) int { return cmp.Compare(a.Order, b.Order) })
		for _, o := range q.Order {
			queue.Environments = append(queue.Environments, o.Environment)
		}
		for _, l := range q.Limits {
			queue.TimeLimits = append(queue.TimeLimits, TimeLimit{l.Reason, time.Duration(l.Max) * time.Second})
		}
		p.Queues = append(p.Queues, queue)
	}
	var err error
	p.Environments, err = c.environments(ctx)
	return p, err
}

func (c control) environments(ctx context.Context) ([]Environment, error) {
	var answer struct {
		Environments []struct {
			ARN       string          `json:"computeEnvironmentArn"`
			Name      string          `json:"computeEnvironmentName"`
			State     string          `json:"state"`
			Status    string          `json:"status"`
			Policy    UpdatePolicy    `json:"updatePolicy"`
			Resources json.RawMessage `json:"computeResources"`
		} `json:"computeEnvironments"`
	}
	if err := c.post(ctx, "describecomputeenvironments", struct{}{}, &answer); err != nil {
		return nil, err
	}
	var list []Environment
	for _, e := range answer.Environments {
		if e.Resources == nil { // an unmanaged one has none
			e.Resources = json.RawMessage("{}")
		}
		var r struct {
			MinVCPUs       int      `json:"minvCpus"`
			MaxVCPUs       int      `json:"maxvCpus"`
			Strategy       string   `json:"allocationStrategy"`
			InstanceTypes  []string `json:"instanceTypes"`
			InstanceRole   string   `json:"instanceRole"`
			SecurityGroups []string `json:"securityGroupIds"`
			LaunchTemplate struct {
				ID      string `json:"launchTemplateId"`
				Version string `json:"version"`
			} `json:"launchTemplate"`
		}
		infrastructure, err := infrastructureOf(e.Resources)
		if err == nil {
			err = json.Unmarshal(e.Resources, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("compute environment %s: %w", e.Name, err)
		}
		types, err := c.types(ctx, r.InstanceTypes)
		if err != nil {
			return nil, fmt.Errorf("compute environment %s: %w", e.Name, err)
		}
		stop, err := c.stopTimeout(ctx, r.LaunchTemplate.ID, r.LaunchTemplate.Version)
		if err != nil {
			return nil, fmt.Errorf("compute environment %s: %w", e.Name, err)
		}
		list = append(list, Environment{
			ARN: e.ARN, Name: e.Name, Enabled: e.State == "ENABLED" && e.Status != "INVALID", MinVCPUs: r.MinVCPUs, MaxVCPUs: r.MaxVCPUs,
			Strategy: r.Strategy, Types: types, InstanceProfileARN: r.InstanceRole, SecurityGroups: r.SecurityGroups, StopTimeout: stop,
			Infrastructure: infrastructure, UpdatePolicy: UpdatePolicy{e.Policy.TerminateJobs, cmp.Or(e.Policy.Minutes, 30)}, // 30 is AWS's default
		})
	}
	return list, nil
}

// infrastructureOf returns an environment's settings without those that can change
// without a replacement of hosts.
func infrastructureOf(resources json.RawMessage) (string, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(resources, &all); err != nil {
		return "", err
	}
	for _, setting := range scaling {
		delete(all, setting)
	}
	text, err := json.Marshal(all) // in the order of the keys
	return string(text), err
}

// agentReserveMiB is ECS_RESERVED_MEMORY on Batch's images (AWS Batch user
// guide, "Compute resource memory management").
const agentReserveMiB = 32

// types reads the sizes of instance types. The kernel takes a part of the
// memory that is sold: 5 percent, as components/compute estimates, so that a session
// which passes there fits here.
func (c control) types(ctx context.Context, names []string) ([]InstanceType, error) {
	if len(names) == 0 {
		return nil, nil
	}
	form := url.Values{"Action": {"DescribeInstanceTypes"}}
	for i, name := range names {
		form.Set("InstanceType."+strconv.Itoa(i+1), name)
	}
	var answer struct {
		Types []struct {
			Name   string `xml:"instanceType"`
			VCPUs  int    `xml:"vCpuInfo>defaultVCpus"`
			Memory int    `xml:"memoryInfo>sizeInMiB"`
			GPUs   []struct {
				Count int `xml:"count"`
			} `xml:"gpuInfo>gpus>item"`
		} `xml:"instanceTypeSet>item"`
	}
	if err := c.ec2(ctx, form, &answer); err != nil {
		return nil, err
	}
	sizes := map[string]InstanceType{}
	for _, t := range answer.Types {
		size := InstanceType{Name: t.Name, VCPUs: t.VCPUs, MemoryMiB: t.Memory*95/100 - agentReserveMiB}
		for _, gpu := range t.GPUs {
			size.GPUs += gpu.Count
		}
		sizes[t.Name] = size
	}
	var list []InstanceType
	for _, name := range names {
		size, known := sizes[name]
		if !known {
			return nil, fmt.Errorf("the sandbox knows no instance type %s: whole types are taken, no families", name)
		}
		list = append(list, size)
	}
	return list, nil
}

// defaultStop is ECS_CONTAINER_STOP_TIMEOUT if a host sets none (ECS developer
// guide, "Amazon ECS container agent configuration").
const defaultStop = 30 * time.Second

var stopSetting = regexp.MustCompile(`(?m)^ECS_CONTAINER_STOP_TIMEOUT=(\w+)$`)

// stopTimeout reads the agent's setting from the user data of the hosts' launch
// template.
func (c control) stopTimeout(ctx context.Context, template, version string) (time.Duration, error) {
	if template == "" {
		return defaultStop, nil
	}
	var answer struct {
		UserData []string `xml:"launchTemplateVersionSet>item>launchTemplateData>userData"`
	}
	form := url.Values{"Action": {"DescribeLaunchTemplateVersions"}, "LaunchTemplateId": {template}, "LaunchTemplateVersion.1": {version}}
	if err := c.ec2(ctx, form, &answer); err != nil {
		return 0, err
	}
	for _, encoded := range answer.UserData {
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return 0, fmt.Errorf("launch template %s: user data: %w", template, err)
		}
		if found := stopSetting.FindSubmatch(text); found != nil {
			return time.ParseDuration(string(found[1]))
		}
	}
	return defaultStop, nil
}

// definitions returns all revisions of a job definition: as this Batch understands
// them, and as they were registered.
func (c control) definitions(ctx context.Context, name string) (typed []Definition, raw []map[string]any, err error) {
	var answer struct {
		Definitions []json.RawMessage `json:"jobDefinitions"`
	}
	if err := c.post(ctx, "describejobdefinitions", map[string]string{"jobDefinitionName": name}, &answer); err != nil {
		return nil, nil, err
	}
	for _, text := range answer.Definitions {
		var d Definition
		all := map[string]any{}
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, nil, fmt.Errorf("job definition %s: %w", name, err)
		}
		typed, raw = append(typed, d), append(raw, all)
	}
	return typed, raw, nil
}

// post makes a call of Batch's.
func (c control) post(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := c.call(ctx, "batch", "/v1/"+operation, "application/json", body)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return json.Unmarshal(answer, out)
}

// ec2 makes a call of EC2's.
func (c control) ec2(ctx context.Context, form url.Values, out any) error {
	form.Set("Version", "2016-11-15")
	answer, err := c.call(ctx, "ec2", "/", local.Form, []byte(form.Encode()))
	if err != nil {
		return fmt.Errorf("%s: %w", form.Get("Action"), err)
	}
	return xml.Unmarshal(answer, out)
}

// call is made by the administrator.
func (c control) call(ctx context.Context, service, path, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := local.Call(ctx, c.accessKey, c.endpoint+path, service, contentType, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}
