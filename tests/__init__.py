"""Tests; a package so that they can share what writes their images."""
