// Package capacity has the instance types of session hosts, and computes how many
// sessions fit on them, at which cost. It is apart from the component so that the
// sandbox's AWS Batch, which chooses hosts by the same table, does not compile Pulumi.
package capacity

import (
	"fmt"
	"sort"
	"strings"
)

// InstanceType is the equipment of one host and its price.
type InstanceType struct {
	VCPUs  int
	SoldMB int // memory as sold, MiB
	GPUs   int
	GPU    GPU     // the model of each
	USD    float64 // for an hour: see PriceDate
}

// GPU is a model of NVIDIA GPU.
type GPU struct {
	Model string
	MiB   int // its memory
}

var (
	t4   = GPU{"T4", 16384}
	a10g = GPU{"A10G", 22888}
	l4   = GPU{"L4", 22888}
	l40s = GPU{"L40S", 45776}
)

// The prices are AWS's list prices for Linux, on demand, of this Region and day. They
// change seldom, but check them before you rely on them (AWS, "Amazon EC2 On-Demand
// Pricing"). Those of another Region differ; a stack's own are in compute.prices.
const (
	PriceRegion = "us-east-1"
	PriceDate   = "2026-02-09"
)

// InstanceTypes are the types that session hosts may have: with NVIDIA GPUs that render
// and encode, supported by AWS's AL2023 GPU image; x86-64, as the session image
// is (not g5g); whole GPUs, since AWS Batch reserves no fractions (not g6f). The
// figures are those of EC2's DescribeInstanceTypes.
var InstanceTypes = map[string]InstanceType{
	"g4dn.xlarge":   {4, 16 << 10, 1, t4, 0.526},
	"g4dn.2xlarge":  {8, 32 << 10, 1, t4, 0.752},
	"g4dn.4xlarge":  {16, 64 << 10, 1, t4, 1.204},
	"g4dn.8xlarge":  {32, 128 << 10, 1, t4, 2.176},
	"g4dn.12xlarge": {48, 192 << 10, 4, t4, 3.912},
	"g4dn.16xlarge": {64, 256 << 10, 1, t4, 4.352},
	"g4dn.metal":    {96, 384 << 10, 8, t4, 7.824},
	"g5.xlarge":     {4, 16 << 10, 1, a10g, 1.006},
	"g5.2xlarge":    {8, 32 << 10, 1, a10g, 1.212},
	"g5.4xlarge":    {16, 64 << 10, 1, a10g, 1.624},
	"g5.8xlarge":    {32, 128 << 10, 1, a10g, 2.448},
	"g5.12xlarge":   {48, 192 << 10, 4, a10g, 5.672},
	"g5.16xlarge":   {64, 256 << 10, 1, a10g, 4.096},
	"g5.24xlarge":   {96, 384 << 10, 4, a10g, 8.144},
	"g5.48xlarge":   {192, 768 << 10, 8, a10g, 16.288},
	"g6.xlarge":     {4, 16 << 10, 1, l4, 0.8048},
	"g6.2xlarge":    {8, 32 << 10, 1, l4, 0.9776},
	"g6.4xlarge":    {16, 64 << 10, 1, l4, 1.3232},
	"g6.8xlarge":    {32, 128 << 10, 1, l4, 2.0144},
	"g6.12xlarge":   {48, 192 << 10, 4, l4, 4.6016},
	"g6.16xlarge":   {64, 256 << 10, 1, l4, 3.3968},
	"g6.24xlarge":   {96, 384 << 10, 4, l4, 6.6752},
	"g6.48xlarge":   {192, 768 << 10, 8, l4, 13.3504},
	"gr6.4xlarge":   {16, 128 << 10, 1, l4, 1.5392},
	"gr6.8xlarge":   {32, 256 << 10, 1, l4, 2.4464},
	"g6e.xlarge":    {4, 32 << 10, 1, l40s, 1.861},
	"g6e.2xlarge":   {8, 64 << 10, 1, l40s, 2.24208},
	"g6e.4xlarge":   {16, 128 << 10, 1, l40s, 3.00424},
	"g6e.8xlarge":   {32, 256 << 10, 1, l40s, 4.52856},
	"g6e.12xlarge":  {48, 384 << 10, 4, l40s, 10.49264},
	"g6e.16xlarge":  {64, 512 << 10, 1, l40s, 7.57719},
	"g6e.24xlarge":  {96, 768 << 10, 4, l40s, 15.06559},
	"g6e.48xlarge":  {192, 1536 << 10, 8, l40s, 30.13118},
}

// Need is the part of a host that one session reserves.
type Need struct {
	VCPUs     int
	MemoryMiB int
	GPUs      int // 0: the sessions of a host share its GPUs
}

// String returns the amounts that a session takes.
func (n Need) String() string {
	gpus := "a share of a GPU"
	if n.GPUs > 0 {
		gpus = Counted(n.GPUs, "GPU")
	}
	return fmt.Sprintf("%s, %d MiB, %s", Counted(n.VCPUs, "vCPU"), n.MemoryMiB, gpus)
}

// Counted returns "1 GPU" or "2 GPUs".
func Counted(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprint(n, " ", unit)
}

// reservedMiB is the memory that the ECS agent keeps for the system on Batch's images
// (ECS_RESERVED_MEMORY; AWS Batch user guide, "Compute resource memory management").
const reservedMiB = 32

// MemoryForContainers returns the memory of a host that sessions may reserve, in MiB.
// It is estimated low: the kernel shows less than is sold, for which the guide advises
// 5 percent, and the agent keeps its reserve. A host sold with 32768 MiB has been
// seen to offer 31431 (31097 here). With an estimate too low a session that would just
// have fitted is refused; with one too high it stays in the queue for ever.
func (t InstanceType) MemoryForContainers() int { return t.SoldMB*95/100 - reservedMiB }

// String returns the amounts that a host has for sessions.
func (t InstanceType) String() string {
	return fmt.Sprintf("%s, %d MiB for containers, %s", Counted(t.VCPUs, "vCPU"), t.MemoryForContainers(), Counted(t.GPUs, "GPU"))
}

// Sizes groups types by their size, the part of the name after the dot, in the
// order in which the sizes are first mentioned. All types of a size have the same
// number of vCPUs, so a lower price per vCPU, by which AWS Batch chooses among
// on-demand types, is a lower price per host (user guide, "Instance type
// allocation strategies for AWS Batch"). Among types of several sizes it would
// prefer the largest ones, since their vCPUs cost least. Types that are not in the table
// are left out.
func Sizes(types []string) [][]string {
	var groups [][]string
	place := map[string]int{}
	for _, name := range types {
		if _, known := InstanceTypes[name]; !known {
			continue
		}
		size := SizeOf(name)
		i, there := place[size]
		if !there {
			i, place[size] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], name)
	}
	return groups
}

// SizeOf returns the size of a type: "2xlarge" of "g5.2xlarge".
func SizeOf(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// MaxEnvironments is the most compute environments that a job queue takes (AWS Batch
// user guide, "AWS Batch service quotas").
const MaxEnvironments = 3

// MaxSizes returns the most sizes that the instance types may have: each takes an
// environment of the queue, and Spot hosts take one in all.
func MaxSizes(spot bool) int {
	if spot {
		return MaxEnvironments - 1
	}
	return MaxEnvironments
}

// Known returns the table's types in alphabetical order.
func Known() []string {
	names := make([]string, 0, len(InstanceTypes))
	for name := range InstanceTypes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
