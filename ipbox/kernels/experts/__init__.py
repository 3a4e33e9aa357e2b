"""Windows of images and the functions of Fields of Experts."""
