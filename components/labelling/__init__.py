"""Defocus labels proposed from two photographs of one scene, at a small and at a large aperture."""
