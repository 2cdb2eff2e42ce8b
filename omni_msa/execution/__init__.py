"""Running trials: the driver, Ray, attempts and what is done when one fails."""
