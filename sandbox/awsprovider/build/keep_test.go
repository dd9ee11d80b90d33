package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// upstreamTree is a provider in small: batch imports ec2, s3 is wanted by nobody.
var upstreamTree = map[string]string{
	"go.mod": "module " + module + "\n", "go.sum": "", "names/names.go": "package names\n", "version/version.go": "package version\n", "xpprovider/x.go": "package xpprovider\n",
	"internal/service/batch/queue.go":      "package batch\nimport \"" + servicePrefix + "ec2\"\nvar _ = ec2.Subnet\nfunc q(c interface{ BatchClient() any }) { c.BatchClient() }\n",
	"internal/service/batch/queue_test.go": "package batch\nimport \"" + servicePrefix + "s3\"\nvar _ = s3.Bucket\n",
	"internal/service/ec2/subnet.go":       "package ec2\nvar Subnet any\nfunc s(c interface{ EC2Client() any }) { c.EC2Client() }\n",
	"internal/service/s3/bucket.go":        "package s3\nvar Bucket any\nfunc b(c interface{ S3Client() any }) { c.S3Client() }\n",
	"internal/acctest/a.go":                "package acctest\n",
	"internal/provider/service_packages_gen.go": "package provider\nimport (\n\t\"" + servicePrefix + "batch\"\n\t\"" + servicePrefix + "ec2\"\n\t\"" + servicePrefix + "s3\"\n)\n" +
		"func servicePackages() []any {\n\treturn []any{\n\t\tbatch.ServicePackage(),\n\t\tec2.ServicePackage(),\n\t\ts3.ServicePackage(),\n\t}\n}\n",
	"internal/provider/provider_gen.go":            endpointsOf("provider", "endpointsSchema"),
	"internal/provider/fwprovider/provider_gen.go": endpointsOf("fwprovider", "endpointsBlock"),
	"internal/conns/awsclient_gen.go": "package conns\nimport (\n\tbatch_sdk \"sdk/batch\"\n\t\"sdk/ec2\"\n\t\"sdk/s3\"\n)\ntype AWSClient struct{}\n" +
		"func (c *AWSClient) BatchClient() *batch_sdk.Client { return nil }\nfunc (c *AWSClient) EC2Client() *ec2.Client { return nil }\nfunc (c *AWSClient) S3Client() *s3.Client { return nil }\n",
}

// endpointsOf returns a file whose function lists the endpoints of three services, one of
// which has another name.
func endpointsOf(pkg, function string) string {
	return "package " + pkg + "\ntype block struct{ of map[string]block; text string }\nfunc " + function + "() block {\n\treturn block{of: map[string]block{\n" +
		"\t\t\"batch\": {text: \"the endpoint\"},\n\t\t\"ec2\": {text: \"the endpoint\"},\n\t\t\"compute\": {text: \"the endpoint\"},\n\t\t\"s3\": {text: \"the endpoint\"},\n\t}}\n}\n" +
		"func names(k string) {\n\tswitch k {\n\tcase \"ec2\", \"compute\":\n\tcase \"bucket\", \"storage\":\n\t}\n}\n"
}

func TestAServiceIsKeptWithWhatItImportsAndNothingElse(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "narrowed")
	for _, service := range []string{"batch", "ec2", "s3"} {
		upstreamTree["internal/service/"+service+"/service_package_gen.go"] = "package " + service + "\n"
	}
	for name, text := range upstreamTree {
		file := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := keep(from, to, []string{"batch"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(kept, []string{"batch", "ec2"}) {
		t.Errorf("kept %v", kept)
	}
	for _, gone := range []string{"internal/service/s3", "internal/acctest", "internal/service/batch/queue_test.go"} {
		if _, err := os.Stat(filepath.Join(to, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	for _, file := range []string{
		"internal/provider/service_packages_gen.go", "internal/conns/awsclient_gen.go",
		"internal/provider/provider_gen.go", "internal/provider/fwprovider/provider_gen.go",
	} {
		text, err := os.ReadFile(filepath.Join(to, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(text)), "s3") || !strings.Contains(string(text), "ec2") || !strings.Contains(string(text), "batch") {
			t.Errorf("%s:\n%s", file, text)
		}
		if strings.HasSuffix(file, "/provider_gen.go") && !strings.Contains(string(text), `"compute": {`) {
			t.Errorf("a service's other name is gone from %s:\n%s", file, text)
		}
	}
}

func TestAServiceThatIsNotThereIsNamed(t *testing.T) {
	if _, err := keep(t.TempDir(), t.TempDir(), []string{"bacth"}); err == nil || !strings.Contains(err.Error(), "bacth") {
		t.Errorf("got %v", err)
	}
}

func TestFixedWaitsAreDroppedAndTimeoutsStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "internal/service/sqs/queue.go")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	source := `package sqs

import (
	"time"

	"retry"
	"sdk/v2"
)

var conf = &retry.StateChangeConf{
	Pending:                   sdk.Pending,
	Timeout:                   timeout,
	ContinuousTargetOccurence: 6, // set to accommodate GovCloud
	Delay:                     30 * time.Second,
	MinTimeout:                5 * time.Second,
}

func read() {
	time.Sleep(5 * time.Second)
	sdk.Read()
}
`
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	root, _, _ := strings.Cut(file, "/internal/service/")
	if err := dropWaits(root); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `package sqs

import (
	"retry"
	"sdk/v2"
)

var conf = &retry.StateChangeConf{
	Pending: sdk.Pending,
	Timeout: timeout,
}

func read() {

	sdk.Read()
}
`
	if string(text) != want {
		t.Errorf("got\n%s", text)
	}
}
