package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/contract"
)

// BaseImage is the repository of the base image that the sandbox makes. It is in the
// registry only, not in ECR.
const BaseImage = "dcv-sessions/base"

// GameKey is the configuration key that names the game.
const GameKey = "dcv-sessions:image.game"

// endpoints are the AWS services that the provider is built with. The configuration
// names the gateway for each of them, so that no call goes elsewhere.
var endpoints = strings.Fields(`batch budgets cloudwatch ec2 ecr events iam kms logs organizations s3 secretsmanager sns sqs ssm sts`)

// Stack is the default stack of the commands. The tests have a second one.
const Stack = "sandbox"

// ConfigFile returns the path of this start's configuration of a program's stack.
func (c *Cloud) ConfigFile(program, stack string) string {
	return filepath.Join(c.Dir(), program+".Pulumi."+stack+".yaml")
}

// Deployed reports whether a stack has a state under this start. A stack that was
// destroyed has none.
func (c *Cloud) Deployed(stack string) bool {
	_, err := os.Stat(filepath.Join(c.StateDir(), ".pulumi", "stacks", contract.Product, stack+".json"))
	return err == nil
}

// Found are the parts of this machine and of its local AWS that a stack uses.
type Found struct {
	BaseImage string // the base image, for machines that can pull none
	Game      string // the folder of the sandbox's game
	VPC       string // the default VPC; its id is new at every start
	Subnets   []string
}

// WriteConfig writes a copy of a committed stack configuration with the values that
// only this start knows: its endpoints and the parts that were found. A game that the
// configuration names stays.
func (c *Cloud) WriteConfig(program, stack, committed string, found Found) (string, error) {
	at := map[string]string{}
	for _, service := range endpoints {
		at[service] = c.Endpoint()
	}
	to := c.ConfigFile(program, stack)
	return to, EditConfig(committed, to, func(config map[string]any) error {
		for key, value := range map[string]any{
			"aws:region":                     Region,
			"aws:accessKey":                  c.AccessKey,
			"aws:secretKey":                  SecretKey,
			"aws:skipCredentialsValidation":  true,
			"aws:skipMetadataApiCheck":       true,
			"aws:s3UsePathStyle":             true,
			"aws:allowedAccountIds":          []string{Account},
			"aws:endpoints":                  []any{at},
			"aws:ec2MetadataServiceEndpoint": c.Endpoint(), // for builds on this machine, in the builder's place
			"dcv-sessions:network.vpcId":     found.VPC,
			"dcv-sessions:network.subnetIds": found.Subnets,
			"dcv-sessions:image.base":        found.BaseImage,
		} {
			config[key] = value
		}
		if _, named := config[GameKey]; !named {
			config[GameKey] = found.Game
		}
		return nil
	})
}

// EditConfig writes a copy of a stack's configuration file with changed values.
func EditConfig(from, to string, edit func(config map[string]any) error) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var file struct {
		EncryptionSalt string         `yaml:"encryptionsalt,omitempty"`
		Config         map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if file.Config == nil {
		file.Config = map[string]any{}
	}
	if err := edit(file.Config); err != nil {
		return err
	}
	if text, err = yaml.Marshal(file); err != nil {
		return err
	}
	return writePrivate(to, text)
}
