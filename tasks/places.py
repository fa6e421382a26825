"""Public facts: US states with their capitals and other cities, and countries with their capitals.

Held-out states and countries share no word with the others, in any of their names. A state's cities are not its
capital, are not a capital elsewhere, do not name their state, and are written without it by people who mean the
one in that state: no Portland, Springfield or Columbus.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """A US state, its capital, and cities in it that are not its capital.

    The cities come in lots: names of one, two, three and more tokens in SmolLM2's vocabulary, so that a city of the
    same lot makes a prompt of the same length there. Nothing else hangs on the lots.
    """

    name: str
    capital: str
    lots: tuple[tuple[str, ...], ...]


def _states(text: str) -> tuple[State, ...]:
    """Read lines ``State: Capital: City, City | City, ...``: lots between bars, a dash for an empty one."""

    def lot(cities: str) -> tuple[str, ...]:
        return () if cities == "-" else tuple(cities.split(", "))

    lines = (line.strip().split(": ") for line in text.strip().splitlines())
    return tuple(State(name, capital, tuple(map(lot, lots.split(" | ")))) for name, capital, lots in lines)


def _countries(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``Country: Capital`` items separated by commas."""
    items = (" ".join(item.split()).split(": ") for item in text.split(","))
    return tuple((country, capital) for country, capital in items)


STATES = _states("""
    Arkansas: Little Rock: - | Jonesboro, Fort Smith, Springdale, Pine Bluff | Bentonville
    California: Sacramento: Oakland, Berkeley | Los Angeles, San Francisco, San Diego, Fresno, Anaheim | Bakersfield
    Colorado: Denver: Boulder, Pueblo | Aspen, Greeley, Fort Collins
    Connecticut: Hartford: - | Bridgeport, Stamford, Waterbury, Danbury, New Haven
    Delaware: Dover: - | Lewes | Bethany Beach, Selbyville | Rehoboth Beach
    Florida: Tallahassee: Miami, Tampa, Orlando | Sarasota | - | Pensacola, Fort Lauderdale
    Georgia: Atlanta: Savannah | Macon, Statesboro | - | Valdosta, Alpharetta
    Idaho: Boise: - | Nampa, Rexburg, Twin Falls | Ketchum | Pocatello
    Illinois: Springfield: Chicago | Rockford, Champaign | Joliet, Naperville | Schaumburg
    Indiana: Indianapolis: Gary | Evansville, Kokomo, Fort Wayne, South Bend | Muncie
    Iowa: Des Moines: Ames | Cedar Rapids, Sioux City | Davenport, Dubuque
    Kansas: Topeka: - | Olathe, Salina | Wichita, Overland Park, Dodge City
    Kentucky: Frankfort: Louisville | Owensboro, Hopkinsville, Bardstown | Paducah
    Louisiana: Baton Rouge: - | Houma, New Orleans, Lake Charles | Shreveport, Metairie
    Maine: Augusta: - | Bangor, Bar Harbor | - | Biddeford, Kennebunk
    Maryland: Annapolis: Baltimore | Rockville | Bethesda, Hagerstown | Gaithersburg
    Minnesota: Saint Paul: Minneapolis | Duluth, Moorhead, Edina | Mankato
    Mississippi: Jackson: - | Gulfport, Natchez, Vicksburg | Biloxi, Tupelo | Hattiesburg
    Missouri: Jefferson City: - | Sedalia | St. Louis, Joplin, Branson, Hannibal
    Nebraska: Lincoln: Omaha | - | Kearney, Ogallala | Scottsbluff
    Nevada: Carson City: Henderson | Reno, Sparks, Elko, Las Vegas
    New Hampshire: Concord: - | Nashua, Keene, Laconia | Merrimack
    New Jersey: Trenton: Princeton | Newark, Hoboken, Paterson, Atlantic City | Hackensack
    New Mexico: Santa Fe: - | Albuquerque, Taos, Gallup | Las Cruces
    New York: Albany: Buffalo, Syracuse | Ithaca, Utica | Yonkers
    North Carolina: Raleigh: Charlotte, Durham | Greensboro, Chapel Hill | Asheville
    North Dakota: Bismarck: - | Fargo, Minot, Williston | Grand Forks
    Oklahoma: Oklahoma City: Norman | Tulsa, Lawton, Stillwater, Broken Arrow | Muskogee
    Oregon: Salem: Eugene | Beaverton, Hillsboro | Gresham | Corvallis
    Rhode Island: Providence: Warwick | Cranston | Pawtucket, Woonsocket
    South Carolina: Columbia: - | Sumter, Aiken, Rock Hill | Spartanburg | Myrtle Beach
    South Dakota: Pierre: - | Deadwood, Brookings, Yankton, Sioux Falls, Rapid City
    Texas: Austin: Dallas, Houston, Galveston | San Antonio, El Paso, Amarillo, Waco | Lubbock, Laredo
    Utah: Salt Lake City: Logan | Provo, Ogden, Moab, Orem
    Vermont: Montpelier: - | Rutland, Stowe | Brattleboro, Bennington
    Virginia: Richmond: Norfolk, Chesapeake | Lynchburg | Roanoke, Charlottesville
    Washington: Olympia: Seattle | Tacoma, Yakima | Spokane, Bellingham
    West Virginia: Charleston: - | Beckley | Parkersburg, Martinsburg | Morgantown
    Wyoming: Cheyenne: - | Casper, Sheridan, Gillette, Cody | Laramie
""")
HELDOUT_STATES = _states("""
    Alabama: Montgomery: Birmingham, Mobile | - | Gadsden | Tuscaloosa
    Alaska: Juneau: - | Anchorage, Fairbanks, Sitka, Nome | Ketchikan, Kodiak
    Arizona: Phoenix: Tucson | Tempe, Mesa, Flagstaff, Yuma | Scottsdale
    Hawaii: Honolulu: - | Hilo | Kailua, Lahaina, Kahului
    Massachusetts: Boston: Worcester, Lowell | Framingham, Brockton | Nantucket
    Michigan: Lansing: Detroit, Flint | Dearborn, Ann Arbor | Saginaw | Kalamazoo
    Montana: Helena: - | Billings, Butte | Missoula, Bozeman, Kalispell
    Ohio: Columbus: Cleveland, Cincinnati, Toledo, Dayton | Akron, Youngstown
    Pennsylvania: Harrisburg: Philadelphia, Pittsburgh, Erie | - | Scranton, Allentown
    Tennessee: Nashville: Memphis | Knoxville | Chattanooga | Murfreesboro, Gatlinburg
    Wisconsin: Madison: Milwaukee | Racine, Green Bay | Kenosha, Sheboygan | Oshkosh
""")
COUNTRIES = _countries("""
    Afghanistan: Kabul, Albania: Tirana, Algeria: Algiers, Angola: Luanda, Argentina: Buenos Aires, Armenia: Yerevan,
    Australia: Canberra, Austria: Vienna, Azerbaijan: Baku, Bangladesh: Dhaka, Belarus: Minsk, Belgium: Brussels,
    Bhutan: Thimphu, Botswana: Gaborone, Bulgaria: Sofia, Cambodia: Phnom Penh, Canada: Ottawa, Chile: Santiago,
    China: Beijing, Colombia: Bogotá, Croatia: Zagreb, Cuba: Havana, Cyprus: Nicosia, Denmark: Copenhagen,
    Ecuador: Quito, Egypt: Cairo, Estonia: Tallinn, Ethiopia: Addis Ababa, Fiji: Suva, France: Paris,
    Gabon: Libreville, Germany: Berlin, Ghana: Accra, Honduras: Tegucigalpa, Hungary: Budapest, India: New Delhi,
    Iran: Tehran, Iraq: Baghdad, Ireland: Dublin, Italy: Rome, Jamaica: Kingston, Jordan: Amman, Laos: Vientiane,
    Latvia: Riga, Liberia: Monrovia, Libya: Tripoli, Madagascar: Antananarivo, Malawi: Lilongwe,
    Malaysia: Kuala Lumpur, Mali: Bamako, Malta: Valletta, Mongolia: Ulaanbaatar, Morocco: Rabat, Mozambique: Maputo,
    New Zealand: Wellington, Nicaragua: Managua, Niger: Niamey, Nigeria: Abuja, Norway: Oslo, Oman: Muscat,
    Pakistan: Islamabad, Paraguay: Asunción, Peru: Lima, Qatar: Doha, Rwanda: Kigali, Saudi Arabia: Riyadh,
    Senegal: Dakar, Serbia: Belgrade, Slovakia: Bratislava, Slovenia: Ljubljana, Somalia: Mogadishu,
    South Korea: Seoul, Spain: Madrid, Sudan: Khartoum, Switzerland: Bern, Syria: Damascus, Tunisia: Tunis,
    Uganda: Kampala, Ukraine: Kyiv, Uzbekistan: Tashkent, Venezuela: Caracas, Zambia: Lusaka
""")
HELDOUT_COUNTRIES = _countries("""
    Brazil: Brasília, Finland: Helsinki, Greece: Athens, Iceland: Reykjavik, Indonesia: Jakarta, Japan: Tokyo,
    Kazakhstan: Astana, Kenya: Nairobi, Lebanon: Beirut, Lithuania: Vilnius, Namibia: Windhoek, Nepal: Kathmandu,
    Poland: Warsaw, Portugal: Lisbon, Romania: Bucharest, Russia: Moscow, Sweden: Stockholm, Thailand: Bangkok,
    Turkey: Ankara, Uruguay: Montevideo, Vietnam: Hanoi, Yemen: Sanaa, Zimbabwe: Harare
""")
