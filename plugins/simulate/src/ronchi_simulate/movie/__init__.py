"""Graphene under the beam: a sheet that changes from frame to frame, and its images."""
