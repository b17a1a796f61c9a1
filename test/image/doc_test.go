// Package image_test builds the last stage of the Dockerfile with buildah, from binaries that it compiles itself, and starts what comes
// out as a careful cluster would: not as root, with a root file system that is read-only. It needs root for the mounts, and
// neither an engine nor a registry: the images in which the Dockerfile compiles are not asked for.
package image_test
