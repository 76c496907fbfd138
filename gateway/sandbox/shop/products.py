"""What the demo shop sells (pure)."""

from typing import Any, NamedTuple


class Product(NamedTuple):
    """One product; prices in EUR."""

    id: str
    name: str
    category: str
    price: float
    text: str
    hue: str
    """Name of the picture's colouring in the style sheet."""

    def as_item(self, quantity: int) -> dict[str, Any]:
        """The product as an event describes it."""
        return {
            "product_id": self.id, "name": self.name, "category": self.category, "brand": "Northlight", "price": self.price, "quantity": quantity,
        }  # fmt: skip


PRODUCTS = {
    product.id: product
    for product in (
        Product("101", "Trail Runner", "Shoes", 119.0, "Light, grippy, made for wet roots and long descents.", "moss"),
        Product(
            "102", "Storm Shell", "Jackets", 189.5, "Three layers against sideways rain, packs to the size of an apple.", "sea"
        ),
        Product("103", "Dawn Tent", "Camping", 349.0, "Up in two minutes, bright inside, at home on rock.", "sand"),
        Product("104", "Summit Pack 32", "Backpacks", 139.95, "Thirty-two litres that sit close and breathe well.", "rust"),
        Product("105", "Ember Mug", "Camping", 24.9, "Double-walled steel; coffee stays hot to the ridge.", "night"),
        Product("106", "Merino Crew", "Clothing", 79.0, "Warm when wet, fresh after three days.", "plum"),
    )
}
