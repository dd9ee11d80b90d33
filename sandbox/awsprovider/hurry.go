package main

import (
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

// hurried are the resources that AWS may keep busy for longer than the provider
// waits, which is 20 minutes if a resource declares no timeouts. The sandbox's
// tests don't wait so long.
var hurried = []string{"aws_batch_compute_environment"}

// waitVariable names how long the provider waits for these, such as 10s.
const waitVariable = "DCV_PROVIDER_WAIT"

// hurry sets how long the provider waits. It is a default, which leaves custom
// timeouts without effect on these resources, as they are.
func hurry(p *schema.Provider) error {
	text := os.Getenv(waitVariable)
	if text == "" {
		return nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%s: %w", waitVariable, err)
	}
	for _, name := range hurried {
		p.ResourcesMap[name].Timeouts = &schema.ResourceTimeout{Default: &wait}
	}
	return nil
}
